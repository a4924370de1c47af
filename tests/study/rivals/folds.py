"""Folds of small tables for the tests of the rivals."""

import dataclasses

import numpy as np
import polars as pl

from lamina.data.splits import Split, outer_splits
from lamina.data.task import make_task
from lamina.fold import Fold


def fold_of(data, target=None, seeds=2):
    """The first fold of a bundled data set or of a frame."""
    task = make_task(data, target)
    return Fold(task, outer_splits(task, 1)[0], seeds, params=1000)


def mixed(rows=300, values=False):
    """A table with a number, a category and gaps in both, on which the target depends; the first 60 rows are the test
    part, one of them with a category that no other row has."""
    generator = np.random.default_rng(0)
    x, kind = generator.normal(size=rows), generator.integers(0, 3, rows)
    value = x + 2.0 * kind + 0.1 * generator.normal(size=rows)
    gaps, holes = generator.random(rows) < 0.1, generator.random(rows) < 0.1
    kinds = [None if hole else "abc"[k] for k, hole in zip(kind, holes, strict=True)]
    frame = pl.DataFrame({"x": np.where(gaps, np.nan, x), "kind": ["d", *kinds[1:]]})
    task = make_task(frame.with_columns(target=value if values else np.digitize(value, [1.0, 3.0])), "target")
    return Fold(task, Split(0, np.arange(60, rows), np.arange(60)), 2, params=1000)


def without_a_class():
    """A fold of iris whose training part, and so every inner part, has no row of the second class."""
    fold = fold_of("iris")
    y, train = fold.task.y, fold.split.train
    return dataclasses.replace(fold, split=Split(0, train[y[train] != 1], fold.split.test))


def accuracy(fold, predict):
    """On the test part."""
    rows = fold.split.test
    return float((predict(rows).argmax(1) == fold.task.y[rows]).mean())


def explained(fold, predict):
    """The coefficient of determination on the test part."""
    y = fold.task.y[fold.split.test]
    return float(1 - ((predict(fold.split.test) - y) ** 2).mean() / y.var())


def loss(fold, predict, seed=0):
    """On the validation part of the seed."""
    rows = fold.inner[seed][1]
    return fold.head.loss(fold.task.y[rows], predict(rows))


def require_settings(rival, ranges):
    """Settings are different, within their ranges, and the first ones of more."""
    settings = rival.settings(32)
    assert len({tuple(s.values()) for s in settings}) == 32
    for name, (low, high) in ranges.items():
        values = [s[name] for s in settings[1:]]
        assert low <= min(values) < max(values) <= high
    assert rival.settings(8) == settings[:8]


def require_sound(rival):
    """Learns from numbers, categories and gaps, a seed gives one result, an unseen class has probability 0."""
    (setting,) = rival.settings(1)
    fold = mixed()
    test = fold.split.test
    predict = rival.fit(fold, setting, 0, 1000)
    assert accuracy(fold, predict) > 0.7
    np.testing.assert_array_equal(rival.fit(fold, setting, 0, 1000)(test), predict(test))
    values = mixed(values=True)
    assert explained(values, rival.fit(values, setting, 0, 1000)) > 0.6
    two = without_a_class()
    found = rival.fit(two, setting, 0, 1000)(two.split.test)
    assert found.shape == (30, 3)
    assert not found[:, 1].any()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def require_stopping(rival, endless):
    """The validation part ends the boosting before it fits noise, as the model `endless` does that does not stop."""
    fold = fold_of("diabetes")
    rows, held = fold.inner[1]
    endless.fit(fold.raw[0][rows], fold.task.y[rows])
    stopped = loss(fold, rival.fit(fold, rival.settings(1)[0], 1, 1000), seed=1)
    assert stopped < fold.head.loss(fold.task.y[held], endless.predict(fold.raw[0][held]))
