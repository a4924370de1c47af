"""A fold learns its preprocessing and its scales from the training part alone."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from lamina.data.splits import Split
from lamina.data.task import make_task
from lamina.fold import Fold

TRAIN, TEST = np.arange(0, 30), np.arange(30, 40)


@pytest.fixture(scope="module")
def task():
    """40 rows; those to be tested have other numbers, another category and larger values."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=40)
    colour = np.where(np.arange(40) % 2 == 0, "red", "blue").astype(object)
    colour[35], colour[5] = "green", None
    price = 10 * x + 100
    x[TEST], price[TEST] = x[TEST] + 1000, price[TEST] + 1000
    x[7] = np.nan
    return make_task(pl.DataFrame({"x": x, "colour": colour.tolist(), "price": price}), "price")


def test_nothing_that_is_learnt_depends_on_the_test_part(task):
    fold = Fold(task, Split(0, TRAIN, TEST), 2, 1000)
    other = dataclasses.replace(
        task, features=task.features.with_columns(x=pl.when(pl.int_range(40) < 30).then("x").otherwise(-7.0)),
        y=np.where(np.arange(40) < 30, task.y, 0.0),
    )  # fmt: skip
    same = Fold(other, Split(0, TRAIN, TEST), 2, 1000)
    np.testing.assert_array_equal(fold.x[TRAIN], same.x[TRAIN])
    np.testing.assert_array_equal(fold.dense[TRAIN], same.dense[TRAIN])
    assert fold.head == same.head
    assert (fold.head.mean, fold.head.scale) == pytest.approx((task.y[TRAIN].mean(), task.y[TRAIN].std()))
    assert (fold.head.low, fold.head.high) == (task.y[TRAIN].min(), task.y[TRAIN].max())


def test_dense_has_scaled_numbers_their_gaps_and_categories_one_hot(task):
    fold = Fold(task, Split(0, TRAIN, TEST), 1, 1000)
    x, gap, blue, red = fold.dense.T
    order = np.argsort(task.features["x"].to_numpy()[TRAIN])[:-1]  # the gap is sorted last
    assert np.all(np.diff(x[TRAIN][order]) > 0)
    assert np.flatnonzero(gap).tolist() == [7]
    known = np.setdiff1d(np.arange(40), [5, 35])  # one is missing, one has a category that only the test part has
    np.testing.assert_array_equal(red[known], known % 2 == 0)
    np.testing.assert_array_equal(blue[known], known % 2 == 1)
    assert red[[5, 35]].tolist() == blue[[5, 35]].tolist() == [0, 0]


def test_codes_for_embeddings_become_one_hot_columns():
    kinds = np.array([f"k{i % 20:02d}" for i in range(100)])
    task = make_task(pl.DataFrame({"x": np.linspace(0, 1, 100), "kind": kinds, "y": np.arange(100) % 2}), "y")
    fold = Fold(task, Split(0, np.arange(80), np.arange(80, 100)), 1, 1000)
    (n,) = fold.encoder.cardinalities
    hot = fold.dense[:, -n:]
    np.testing.assert_array_equal(hot.sum(1), np.ones(100))
    np.testing.assert_array_equal(hot.argmax(1), fold.x[:, -1])
    assert len(np.unique(hot[:20].argmax(1))) == 20


def test_raw_keeps_numbers_as_they_are_and_marks_categories_and_gaps(task):
    x, categorical = Fold(task, Split(0, TRAIN, TEST), 1, 1000).raw
    assert categorical.tolist() == [False, True]
    np.testing.assert_array_equal(x[:, 0], task.features["x"].to_numpy())
    assert np.flatnonzero(np.isnan(x)).tolist() == [2 * 5 + 1, 2 * 7]
    assert x[0, 1] == x[2, 1] != x[1, 1] == x[3, 1]


def test_each_seed_divides_the_training_part_in_its_own_way(task):
    fold = Fold(task, Split(0, TRAIN, TEST), 3, 1000)
    assert len(fold.inner) == 3
    for train, validation in fold.inner:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), TRAIN)
        assert len(validation) == 6
    assert len({tuple(validation) for _, validation in fold.inner}) == 3
