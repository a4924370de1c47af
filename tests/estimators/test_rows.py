import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.data.splits import inner_split
from lamina.estimators.rows import gather

CELLS = st.sampled_from([None, float("nan"), -0.0, 0.0, 1.5])


def same(a, b):
    assert a.frame.equals(b.frame)
    np.testing.assert_array_equal(a.y, b.y)
    np.testing.assert_array_equal(a.weight, b.weight)
    np.testing.assert_array_equal(a.group, b.group)


def test_equal_rows_become_one_with_the_sum_of_their_weights():
    frame = pl.DataFrame({"a": [2.0, 1.0, 2.0, 2.0, None], "b": ["x", "y", "x", "x", "y"]})
    rows = gather(frame, np.array([0, 1, 0, 1, 1]), np.array([1.0, 1.0, 3.0, 2.0, 1.0]))
    assert rows.frame.rows() == [(None, "y"), (1.0, "y"), (2.0, "x"), (2.0, "x")]
    assert rows.y.tolist() == [1, 1, 0, 1]
    assert rows.weight.tolist() == [0.5, 0.5, 2.0, 1.0]
    assert rows.group.tolist() == [0, 1, 2, 2]
    assert rows.first.tolist() == [0, 1, 2]


@given(
    cells=st.lists(st.tuples(CELLS, st.sampled_from("ab"), st.integers(0, 1), st.integers(1, 3)), min_size=1),
    order=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=60)
def test_neither_the_order_of_rows_matters_nor_whether_they_are_weighted_or_repeated(cells, order):
    shuffled = order.sample(cells, len(cells))
    repeated = [row for row in cells for _ in range(row[-1])]

    def rows(table, weights):
        frame = pl.DataFrame([row[:2] for row in table], schema={"x": pl.Float64, "t": pl.String}, orient="row")
        return gather(frame, np.array([row[2] for row in table]), np.array(weights, dtype=float))

    first = rows(cells, [row[-1] for row in cells])
    same(first, rows(shuffled, [row[-1] for row in shuffled]))
    if len(repeated) < 5 * len({str(row[:2]).replace("-0", "0") for row in cells}):
        same(first, rows(repeated, [1] * len(repeated)))


def test_a_table_that_is_made_of_copies_keeps_them():
    frame = pl.DataFrame({"a": ["u", "v"] * 25})
    y, weight = np.arange(50) % 3, np.full(50, 4.0)
    rows = gather(frame, y, weight)
    assert rows.frame["a"].to_list() == ["u"] * 25 + ["v"] * 25
    np.testing.assert_array_equal(rows.y, [*np.sort(y[::2]), *np.sort(y[1::2])])
    np.testing.assert_array_equal(rows.weight, np.ones(50))
    assert not rows.weighted
    fit, held = rows.split(0, "multiclass")
    assert set(rows.frame["a"][fit]) == set(rows.frame["a"][held]) == {"u", "v"}


def test_rows_with_equal_features_stay_on_one_side_of_a_split():
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({"a": generator.integers(0, 40, 100)})
    rows = gather(frame, generator.integers(0, 2, 100), np.ones(100))
    for seed in range(10):
        fit, held = rows.split(seed, "binary")
        assert sorted([*fit, *held]) == list(range(len(rows)))
        assert not set(rows.frame["a"][fit]) & set(rows.frame["a"][held])
        assert 0.1 < len(held) / len(rows) < 0.35


def test_without_copies_a_split_is_the_one_of_a_study():
    y = np.arange(60) % 3
    rows = gather(pl.DataFrame({"a": np.arange(60.0)}), y, np.ones(60))
    for ours, theirs in zip(rows.split(7, "multiclass"), inner_split(y, np.arange(60), 7, "multiclass"), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("n", "enough"), [(9, False), (10, True)])
def test_a_split_needs_ten_different_rows(n, enough):
    assert gather(pl.DataFrame({"a": range(n)}), np.zeros(n), np.ones(n)).can_be_split is enough
