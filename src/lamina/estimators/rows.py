"""Weighted rows, such that a row of weight two and a row that stands twice are the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from lamina.data.splits import FOLDS, inner_split

_TARGET, _WEIGHT = "\0target", "\0weight"


@dataclass(frozen=True)
class Rows:
    """Rows to learn from.

    Attributes:
        frame: the features.
        y: (rows,) class codes or values.
        weight: (rows,) above zero, with mean 1.
        group: (rows,) ``0..groups-1``, rising; rows of one group stay on one side of a split.
    """

    frame: pl.DataFrame
    y: np.ndarray
    weight: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def first(self) -> np.ndarray:
        """(groups,) the first row of each group."""
        return np.flatnonzero(np.diff(self.group, prepend=-1))

    @property
    def weighted(self) -> bool:
        """Whether the weights differ."""
        return bool((self.weight != self.weight[0]).any())

    @property
    def can_be_split(self) -> bool:
        """Whether a validation part has two groups at least; one alone says too little to stop a training by."""
        return len(self.first) >= 2 * FOLDS

    def split(self, seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """The rows to fit and a fifth to validate on; see `lamina.data.splits.inner_split`."""
        _, chosen = inner_split(self.y, self.first, seed, kind)
        held = np.isin(self.group, self.group[chosen])
        return np.flatnonzero(~held), np.flatnonzero(held)


def gather(frame: pl.DataFrame, y: np.ndarray, weight: np.ndarray) -> Rows:
    """Sort the rows, and join those that are equal in features and target, adding up their weights.

    What is learnt then depends neither on the order of the rows nor on whether a row was repeated or given a weight.
    Rows with equal features are one group, since a copy in the validation part would vouch for what was memorised.
    In a table that is made of copies, `FOLDS` or more of each row on average, nothing is joined and each row is a
    group of its own: there, validating on rows never seen would ask for more than predictions will.

    Args:
        frame: the features that are used.
        y: (rows,) class codes or values.
        weight: (rows,) above zero.
    """
    names = frame.columns
    table = pl.DataFrame([*frame, pl.Series(_TARGET, y), pl.Series(_WEIGHT, weight)])
    table = table.sort([*names, _TARGET, _WEIGHT])
    first = pl.int_range(pl.len()) == 0
    new = table.select(x=pl.any_horizontal(first, *map(_differs, names)), y=_differs(_TARGET))
    new_x, new_y = new["x"].to_numpy(), new["y"].to_numpy()
    if len(y) >= FOLDS * new_x.sum():
        starts = group = np.arange(len(y))
    else:
        starts = np.flatnonzero(new_x | new_y)
        group = np.cumsum(new_x)[starts] - 1
    total = np.add.reduceat(table[_WEIGHT].to_numpy(), starts)
    kept = table[starts]
    return Rows(kept.select(names), kept[_TARGET].to_numpy(), total / total.mean(), group)


def _differs(name: str) -> pl.Expr:
    """Whether a cell differs from the one above."""
    return pl.col(name).ne_missing(pl.col(name).shift())
