"""The statistics against closed forms, published tables and two independent libraries."""

from __future__ import annotations

from itertools import combinations

import baycomp
import numpy as np
import pytest
import scikit_posthocs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import integrate, stats

from lamina.errors import LaminaError
from lamina.study.statistics import (
    corrected_t_test,
    correlated_t_probabilities,
    critical_difference,
    friedman,
    groups,
    holm_wilcoxon,
    interval,
    splits_to_decide,
)

# Demšar 2006, table 6: AUC of C4.5 with no, one (m, cf) and both parameters tuned
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.97501, 0.975],  # 0.975 both in print; the published ranks take the first as better
        [0.957, 0.978, 0.946, 0.970],
    ]
)
finite = st.floats(-1, 1, allow_nan=False, allow_subnormal=False)
vectors = hnp.arrays(float, st.integers(2, 12), elements=finite)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("runs", [1, 2, 3])
def test_correlated_t_agrees_with_baycomp(seed: int, runs: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.90, 0.03, 5 * runs), rng.normal(0.89, 0.03, 5 * runs)
    worse, equal, better = baycomp.two_on_single(second, first, rope=0.01, runs=runs)  # pyright: ignore
    found = correlated_t_probabilities(first - second, rope=0.01, test_fraction=0.2)
    assert found == pytest.approx((better, equal, worse), abs=1e-9)


def test_correlated_t_is_the_integral_of_its_density() -> None:
    d, rope = np.array([0.01, 0.03, -0.005, 0.02]), 0.01
    scale = np.sqrt(d.var(ddof=1) * (1 / 4 + 0.25))
    mass, _ = integrate.quad(lambda x: stats.t.pdf((x - d.mean()) / scale, 3) / scale, -rope, rope)
    assert correlated_t_probabilities(d, rope)[1] == pytest.approx(mass, abs=1e-9)


@given(vectors, st.floats(0, 0.5))
def test_probabilities_add_up_and_mirror(d: np.ndarray, rope: float) -> None:
    better, equal, worse = correlated_t_probabilities(d, rope)
    assert better + equal + worse == pytest.approx(1, abs=1e-9)
    assert min(better, equal, worse) >= 0
    assert correlated_t_probabilities(-d, rope) == pytest.approx((worse, equal, better), abs=1e-9)


@given(vectors, st.floats(0, 0.4))
def test_a_wider_rope_never_makes_equality_less_probable(d: np.ndarray, rope: float) -> None:
    assert correlated_t_probabilities(d, rope + 0.1)[1] >= correlated_t_probabilities(d, rope)[1] - 1e-12


@pytest.mark.parametrize(
    ("value", "expected"), [(0.02, (1, 0, 0)), (0.01, (0, 1, 0)), (0.0, (0, 1, 0)), (-0.02, (0, 0, 1))]
)
def test_no_spread_puts_all_mass_at_the_mean(value: float, expected: tuple[float, ...]) -> None:
    assert correlated_t_probabilities(np.full(3, value), 0.01) == expected


def test_one_difference_says_nothing() -> None:
    assert correlated_t_probabilities([0.5], 0.01) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert corrected_t_test([0.5]) == 1
    assert splits_to_decide([0.5], 0.01) is None
    mean, low, high = interval([0.5])
    assert mean == 0.5
    assert np.isnan([low, high]).all()


def test_corrected_t_by_hand() -> None:
    d = np.array([1.0, 2.0, 3.0, 4.0])  # mean 5/2, variance 5/3, so t = 2.5 / sqrt(5/3 * (1/4 + 1/4))
    assert corrected_t_test(d, 0.2) == pytest.approx(2 * stats.t.sf(2.5 / np.sqrt(5 / 6), 3), rel=1e-12)
    assert corrected_t_test(d, 0.2) > stats.ttest_1samp(d, 0).pvalue  # dependence makes it more careful
    assert corrected_t_test(d, 1e-9) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=1e-6)


def test_corrected_t_without_spread() -> None:
    assert corrected_t_test([0.0, 0.0]) == 1
    assert corrected_t_test([0.1, 0.1, 0.1]) == 0


@given(vectors)
def test_the_interval_excludes_zero_exactly_when_the_test_rejects(d: np.ndarray) -> None:
    _, low, high = interval(d, level=0.95)
    p = corrected_t_test(d)
    if abs(p - 0.05) > 1e-9:
        assert (low > 0 or high < 0) == (p < 0.05)


def test_overlapping_splits_do_not_fool_the_corrected_test() -> None:
    """Differences that share a correlation of 0.2: the plain t-test errs far too often, this one does not."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 30))
    d = np.sqrt(0.2) * shared + np.sqrt(0.8) * own
    assert np.mean([corrected_t_test(x) < 0.05 for x in d]) == pytest.approx(0.05, abs=0.02)
    assert np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05) > 0.3


@given(vectors, st.floats(0.01, 0.5))
def test_splits_to_decide_is_the_first_number_that_decides(d: np.ndarray, rope: float) -> None:
    now = max(correlated_t_probabilities(d, rope))
    needed = splits_to_decide(d, rope, cap=60)
    assert (needed == d.size) == (now >= 0.95)
    if needed is not None:
        assert d.size <= needed <= 60


def test_splits_to_decide_by_the_formula() -> None:
    d, rope = np.array([0.02, 0.01, 0.03]), 0.01

    def decides(n: int) -> bool:
        scale = d.std(ddof=1) * np.sqrt(1 / n + 0.25)
        return bool(stats.t.sf((rope - d.mean()) / scale, n - 1) >= 0.9)

    assert splits_to_decide(d, rope, level=0.9) == next(n for n in range(3, 100) if decides(n)) == 6


def test_no_number_of_splits_decides_a_difference_at_the_edge() -> None:
    assert splits_to_decide([0.005, 0.015], 0.01) is None


@pytest.mark.parametrize(
    ("alpha", "k", "q"),
    [
        *[(0.05, k, q) for k, q in enumerate((1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164), 2)],
        *[(0.10, k, q) for k, q in enumerate((1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920), 2)],
    ],
)
def test_critical_values_are_those_of_the_published_table(alpha: float, k: int, q: float) -> None:
    """Off by the square root of two is the usual mistake."""
    assert critical_difference(k, 10, alpha) / np.sqrt(k * (k + 1) / 60) == pytest.approx(q, abs=1.5e-3)


def test_published_example_of_four_classifiers() -> None:
    ranks, statistic, _ = friedman(DEMSAR, higher_is_better=True)
    assert ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert 12 * 14 / 20 * (np.square(ranks).sum() - 4 * 25 / 4) == pytest.approx(9.28, abs=5e-3)
    assert statistic > 9.28  # the paper leaves out the correction for ties, which can only raise it
    assert critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=5e-3)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=5e-3)


@pytest.mark.parametrize("k", [3, 4, 8])
def test_friedman_agrees_with_scipy_with_ties(k: int) -> None:
    scores = np.random.default_rng(k).integers(0, 4, size=(12, k)) / 4
    expected = stats.friedmanchisquare(*scores.T)
    _, statistic, p = friedman(scores, higher_is_better=True)
    assert (statistic, p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-9)


def test_friedman_ranks_follow_the_direction() -> None:
    losses = np.array([[0.1, 0.5, 0.3], [0.2, 0.9, 0.4]])
    assert friedman(losses, higher_is_better=False)[0].tolist() == [1, 3, 2]
    assert friedman(losses, higher_is_better=True)[0].tolist() == [3, 1, 2]


def test_friedman_missing_ranks_last_and_ties_decide_nothing() -> None:
    for higher in (True, False):
        assert friedman([[0.1, np.nan, 0.3]], higher)[0][1] == 3
    assert friedman(np.ones((5, 3)), True)[1:] == (0.0, 1.0)


def test_groups_by_hand() -> None:
    assert groups([3.143, 2.000, 2.893, 1.964], 1.12) == [(3, 1, 2), (2, 0)]  # Demšar 2006, figure 1, at 0.10
    assert groups([1.0, 2.0, 3.0, 6.0], 1.5) == [(0, 1), (1, 2), (3,)]
    assert groups([6.0, 3.0, 2.0, 1.0], 1.5) == [(3, 2), (2, 1), (0,)]
    assert groups([2.0, 2.0, 2.0], 0.1) == [(0, 1, 2)]
    assert groups([1.0, 2.0], 1.0) == [(0,), (1,)]  # a whole critical difference apart is different


@given(hnp.arrays(float, st.integers(1, 9), elements=st.floats(1, 9)), st.floats(0.1, 5))
def test_groups_never_contradict_the_mean_ranks(ranks: np.ndarray, cd: float) -> None:
    found = groups(ranks, cd)
    together = {frozenset(pair) for group in found for pair in combinations(group, 2)}
    for i, j in combinations(range(len(ranks)), 2):
        assert (frozenset((i, j)) in together) == (abs(ranks[i] - ranks[j]) < cd)
    assert {i for group in found for i in group} == set(range(len(ranks)))
    for group in found:
        assert ranks[list(group)].tolist() == sorted(ranks[list(group)])
        assert not any(set(group) < set(other) for other in found)


def test_holm_wilcoxon_agrees_with_scikit_posthocs() -> None:
    scores = np.random.default_rng(1).normal(size=(15, 5)) + np.linspace(0, 1.5, 5)
    expected = scikit_posthocs.posthoc_wilcoxon(scores.T, zero_method="zsplit", p_adjust="holm").to_numpy()
    assert holm_wilcoxon(scores) == pytest.approx(expected, abs=1e-9)


def test_critical_difference_agrees_with_scikit_posthocs() -> None:
    ranks, _, _ = friedman(DEMSAR, higher_is_better=True)
    p = scikit_posthocs.posthoc_nemenyi_friedman(DEMSAR).to_numpy()
    for i, j in combinations(range(4), 2):
        at_p = critical_difference(4, 14, p[i, j]) if p[i, j] < 1 else 0.0
        assert at_p == pytest.approx(abs(ranks[i] - ranks[j]), abs=1e-3)


def test_holm_wilcoxon_skips_missing_and_equal() -> None:
    scores = np.array([[1.0, 1.0, 2.0], [2.0, 2.0, np.nan], [3.0, 3.0, 5.0]])
    p = holm_wilcoxon(scores)
    assert p[0, 1] == 1
    assert p == pytest.approx(p.T)


@pytest.mark.parametrize("bad", [[], [[1.0, 2.0]], [0.1, float("nan")], [0.1, float("inf")]])
def test_bad_differences_are_named(bad: list) -> None:
    with pytest.raises(LaminaError, match="differences have to be finite numbers"):
        correlated_t_probabilities(bad, 0.01)


def test_bad_options_are_named() -> None:
    with pytest.raises(LaminaError, match="rope has to be at least 0, not -1"):
        correlated_t_probabilities([0.1, 0.2], -1)
    with pytest.raises(LaminaError, match="test_fraction has to lie between 0 and 1, not 1"):
        interval([0.1, 0.2], test_fraction=1)
    with pytest.raises(LaminaError, match=r"at least two methods, not of shape \(3,\)"):
        friedman([1, 2, 3], True)
    with pytest.raises(LaminaError, match="needs 2 methods and 1 data set, not 1 and 5"):
        critical_difference(1, 5)
