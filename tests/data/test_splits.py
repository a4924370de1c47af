import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.data.splits import inner_split, outer_splits
from lamina.data.task import make_task


def task_of(y):
    return make_task(pl.DataFrame({"x": np.arange(len(y)) % 7 + 0.5, "y": y}), "y")


def test_five_folds_part_the_rows_and_further_ones_are_drawn_anew():
    y = np.array([0] * 80 + [1] * 20)
    splits = outer_splits(task_of(y), 12)
    assert [s.index for s in splits] == list(range(12))
    for repeat in (splits[:5], splits[5:10]):
        assert sorted(np.concatenate([s.test for s in repeat])) == list(range(100))
    for split in splits:
        assert (len(split.test), y[split.test].sum()) == (20, 4)
        assert sorted([*split.train, *split.test]) == list(range(100))
    assert not np.array_equal(splits[0].test, splits[5].test)


def test_the_first_splits_do_not_depend_on_their_number():
    task = task_of(np.array([0, 1] * 20))
    for few, many in zip(outer_splits(task, 3), outer_splits(task, 8), strict=False):
        np.testing.assert_array_equal(few.test, many.test)


def test_regression_and_rare_classes():
    assert [len(s.test) for s in outer_splits(task_of(np.linspace(0, 1, 52) ** 2), 5)] == [11, 11, 10, 10, 10]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outer_splits(task_of(np.array([0] * 30 + [1, 1])), 5)
        assert len(outer_splits(task_of(list("aaaabbbbccccdddd")), 7)) == 7


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=6),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["multiclass", "regression"]),
)
def test_the_inner_parts_are_a_partition_with_every_class_in_the_fit(counts, seed, kind):
    y = np.repeat(np.arange(len(counts)), counts)
    train = np.random.default_rng(seed).permutation(len(y))[: max(2, len(y) - 3)]
    fit, validation = inner_split(y, train, seed, kind)
    assert sorted([*fit, *validation]) == sorted(train)
    assert len(fit) > 0
    assert len(validation) > 0 or len(np.unique(y[train])) == len(train)
    assert len(validation) <= max(1, -(-len(train) // 5))
    if kind == "multiclass" and len(np.unique(y[train])) < len(train):
        assert set(y[fit]) == set(y[train])


def test_the_validation_part_is_a_stratified_fifth():
    y = np.array([0] * 700 + [1] * 200 + [2] * 100)
    fit, validation = inner_split(y, np.arange(1000), 3, "multiclass")
    assert np.bincount(y[validation]).tolist() == [140, 40, 20]
    values = np.random.default_rng(0).standard_cauchy(1000)
    fit, validation = inner_split(values, np.arange(1000), 3, "regression")
    assert len(validation) == 200
    for q in (0.1, 0.5, 0.9):
        assert np.mean(values[validation] < np.quantile(values[fit], q)) == pytest.approx(q, abs=0.01)


def test_the_inner_split_depends_on_the_seed_alone():
    y = np.arange(100) % 3
    a, b = (
        inner_split(y, np.arange(80), 1, "multiclass"),
        inner_split(y, np.arange(80)[::-1], 1, "multiclass"),
    )
    np.testing.assert_array_equal(a[1], b[1])
    other = inner_split(y, np.arange(80), 2, "multiclass")
    assert not np.array_equal(a[1], other[1])


def test_every_row_is_drawn_about_as_often():
    y = np.random.default_rng(0).normal(size=50)
    drawn = np.bincount(np.concatenate([inner_split(y, np.arange(50), s, "regression")[1] for s in range(2000)]))
    assert np.abs(drawn / 2000 - 0.2).max() < 0.05  # five standard errors
