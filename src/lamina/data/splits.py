"""The parts of a study: outer folds for the claim, an inner validation part for the choice."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

if TYPE_CHECKING:
    from lamina.data.task import Task

FOLDS = 5
"""A test part is a fifth, and so is a validation part of what is left."""


@dataclass(frozen=True)
class Split:
    """One division of the rows.

    Attributes:
        index: its number in the study.
        train, test: row indices, sorted.
    """

    index: int
    train: np.ndarray
    test: np.ndarray


def outer_splits(task: Task, n: int) -> list[Split]:
    """The first `n` folds of a repeated 5-fold cross-validation, stratified by class.

    Whatever `n`, a test part is a fifth of the rows, which the corrected t-tests count on. The first folds do
    not depend on `n`, so that a study can grow. Some test parts lack a class with fewer than five rows.
    """
    repeats = -(-n // FOLDS)
    stratified = task.kind != "regression" and np.bincount(task.y).max() >= FOLDS
    folds = (RepeatedStratifiedKFold if stratified else RepeatedKFold)(
        n_splits=FOLDS, n_repeats=repeats, random_state=0
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(folds.split(np.zeros((task.rows, 1)), task.y))
    return [Split(i, train, test) for i, (train, test) in enumerate(pairs[:n])]


def inner_split(y: np.ndarray, train: np.ndarray, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Divide the training part into a part to fit and a fifth to validate on.

    The rows are sorted by target, equal ones in random order, and one of every five neighbours is drawn: both
    parts have the same mixture of classes, or the same distribution of values.

    Args:
        y: (rows,) the target of the whole table.
        train: row indices of the training part, at least two.
        seed: what is drawn depends on this alone.
        kind: the kind of task; with classes, every class of `train` has a row in the part to fit.

    Returns:
        Row indices of the two parts, sorted. Neither is empty.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(np.sort(train))
    ordered = shuffled[np.argsort(y[shuffled], kind="stable")]
    starts = np.arange(0, len(ordered), FOLDS)
    drawn = starts + generator.integers(0, FOLDS, size=len(starts))
    chosen = np.zeros(len(ordered), dtype=bool)
    chosen[drawn[drawn < len(ordered)]] = True
    if kind != "regression":
        _keep_every_class(y[ordered], chosen)
    if not chosen.any():
        chosen[_spare(y[ordered], kind)] = True
    return np.sort(ordered[~chosen]), np.sort(ordered[chosen])


def _keep_every_class(labels: np.ndarray, chosen: np.ndarray) -> None:
    for label in np.setdiff1d(labels, labels[~chosen]):
        chosen[np.flatnonzero(labels == label)[0]] = False


def _spare(labels: np.ndarray, kind: str) -> int:
    """A row that can be validated on, at the least loss: one of the largest class."""
    if kind == "regression":
        return len(labels) // 2
    values, counts = np.unique(labels, return_counts=True)
    return int(np.flatnonzero(labels == values[counts.argmax()])[0])
