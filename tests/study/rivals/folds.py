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


def mixed(rows=150, values=False):
    """A fold of a table with a number, a category and gaps in both, on which the target depends."""
    generator = np.random.default_rng(0)
    x, kind = generator.normal(size=rows), generator.integers(0, 3, rows)
    value = x + 2.0 * kind + 0.1 * generator.normal(size=rows)
    target = value if values else np.digitize(value, [1.0, 3.0])
    gaps, holes = generator.random(rows) < 0.1, generator.random(rows) < 0.1
    frame = pl.DataFrame(
        {
            "x": [None if gap else float(v) for v, gap in zip(x, gaps, strict=True)],
            "kind": [None if hole else "abc"[k] for k, hole in zip(kind, holes, strict=True)],
            "target": target,
        }
    )
    return fold_of(frame, "target")


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
