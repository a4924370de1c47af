import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm, rankdata

from lamina.data.scaling import CLIP, CLIP_STANDARD, SCALINGS, STEPS, Curve

FLOATS = st.floats(-1e100, 1e100)


@pytest.mark.parametrize("n", [2, 10, 2 * STEPS])
def test_quantile_is_the_normal_score_of_the_middle_rank(n):
    x = np.random.default_rng(n).integers(0, n, size=n).astype(float)
    expected = np.clip(norm.ppf((rankdata(x) - 0.5) / n), -CLIP, CLIP)
    if len(np.unique(x)) > 1:
        np.testing.assert_allclose(Curve.quantile(x)(x), expected, atol=1e-12)


def test_quantile_of_a_long_column_stays_within_a_step_of_the_rank():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.zeros(20_000), rng.standard_cauchy(30_000)])
    rank = (rankdata(x) - 0.5) / len(x)
    curve = Curve.quantile(x)
    assert len(curve.knots) <= 2 * STEPS
    assert np.abs(norm.cdf(curve(x)) - rank).max() < 1 / (STEPS - 1)
    assert curve(np.array([0.0]))[0] == pytest.approx(norm.ppf(rank[0]), abs=1e-12)


def test_one_outlier_does_not_move_the_others():
    x = np.arange(1000.0)
    far = np.append(x, 1e12)
    np.testing.assert_allclose(Curve.quantile(far)(x[:900]), Curve.quantile(x)(x[:900]), atol=0.01)
    assert Curve.quantile(far)(np.array([1e12, 1e99])).tolist() == [CLIP, CLIP]


def test_standard_is_mean_and_standard_deviation_with_an_end():
    x = np.random.default_rng(0).normal(1e6, 3.0, size=500)
    curve = Curve.standard(x)
    np.testing.assert_allclose(curve(x), (x - x.mean()) / x.std(), atol=1e-7)
    assert curve(np.array([-1e50, 1e50])).tolist() == [-CLIP_STANDARD, CLIP_STANDARD]


@pytest.mark.parametrize("fit", SCALINGS.values())
@pytest.mark.parametrize("x", [[], [7.0], [7.0, 7.0], [1e100] * 3])
def test_columns_without_variation_are_zero(fit, x):
    assert fit(np.array(x))(np.array([-1.0, 7.0, 1e100])).tolist() == [0, 0, 0]


@pytest.mark.parametrize("fit", SCALINGS.values())
@given(x=arrays(float, st.integers(0, 40), elements=FLOATS), new=arrays(float, 10, elements=FLOATS))
def test_finite_within_its_ends_and_never_decreasing(fit, x, new):
    z = fit(x)(np.sort(new))
    assert np.isfinite(z).all()
    assert np.abs(z).max() <= CLIP_STANDARD
    assert (np.diff(z) >= -1e-9).all()


def test_what_is_no_curve_is_refused():
    for knots, heights in (
        ([], []),
        ([0, 1], [0]),
        ([0, np.nan], [0, 1]),
        ([0, 0], [0, 1]),
        ([1, 0], [0, 1]),
    ):
        with pytest.raises(ValueError, match="curve"):
            Curve(np.array(knots, dtype=float), np.array(heights, dtype=float))
