"""What makes a comparison on a table worth less than it looks, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.stats import rankdata

from lamina.data.encoder import raw_columns
from lamina.data.schema import Schema
from lamina.data.splits import FOLDS
from lamina.data.target import MOST_CLASSES, Target

LEAK_RANKS = 0.99
"""A column whose rank correlation with the target is beyond this nearly is the target."""
LEAK_ERRORS = 0.05
"""So is one that tells the class with less than this share of the errors of the most frequent class."""
SMALL_TEST = 30
"""With fewer rows than this in a test part, chance rules the scores."""
RARE = 0.1
"""A class this many times as frequent as the most frequent one, or less, is rare."""
_COPIES = 0.01
_SAMPLE = 5000


def cautions(features: pl.DataFrame, schema: Schema, target: Target, y: np.ndarray, *, dropped: int) -> tuple[str, ...]:
    """What to say about the data before anything is trained on them.

    Args:
        features, schema, target, y: as in `lamina.data.task.Task`.
        dropped: the number of rows that were left out because their target is missing or infinite.
    """
    said = [*_leaks(features, schema, target, y), *_sizes(target, y), *_copies(features, schema, y)]
    if dropped:
        said.append(f"rows without a target were left out: {dropped} of {len(y) + dropped}")
    if target.kind == "regression" and len(np.unique(y)) <= MOST_CLASSES:
        said.append(
            f"the target {target.name!r} has {len(np.unique(y))} distinct values and is taken as a quantity; "
            "give the task 'multiclass' if they are classes"
        )
    if schema.left_out:
        said.append(schema.left_out)
    return tuple(said)


def _leaks(features: pl.DataFrame, schema: Schema, target: Target, y: np.ndarray) -> Iterator[str]:
    rows = np.unique(np.linspace(0, len(y) - 1, _SAMPLE).astype(int))
    seen: set[str] = set()
    for column, x in raw_columns(features[rows], schema):
        known = ~np.isnan(x)
        if column.name in seen or known.sum() < max(len(rows) / 2, 10):
            continue
        found = _orders if target.kind == "regression" else _tells_class
        if found(x[known], y[rows][known]):
            seen.add(column.name)
            yield (
                f"the column {column.name!r} alone nearly determines the target: leave it out if it is not "
                "known at the time of a prediction, or the comparison says nothing"
            )


def _orders(x: np.ndarray, y: np.ndarray) -> bool:
    ranks = rankdata(x), rankdata(y)
    if min(np.ptp(r) for r in ranks) == 0:
        return False
    return bool(abs(np.corrcoef(*ranks)[0, 1]) > LEAK_RANKS)


def _tells_class(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the class can be read off `x`: from its values if they are few, else from intervals."""
    counts = np.bincount(y)
    base = len(y) - counts.max()
    if base < 5:
        return False
    values, codes = np.unique(x, return_inverse=True)
    if len(values) * 10 <= len(x):
        table = np.zeros((len(values), len(counts)))
        np.add.at(table, (codes, y), 1)
        return bool(len(y) - table.max(axis=1).sum() <= LEAK_ERRORS * base)
    ordered = y[np.lexsort((y, x))]
    return bool((np.diff(ordered) != 0).sum() < (counts > 0).sum())


def _sizes(target: Target, y: np.ndarray) -> Iterator[str]:
    if len(y) // FOLDS < SMALL_TEST:
        yield f"a test part has only {len(y) // FOLDS} rows, so chance has a large part in every score"
    if target.kind == "regression":
        return
    counts = np.bincount(y, minlength=target.outputs)
    rarest = int(counts.argmin())
    if counts[rarest] <= RARE * counts.max():
        share = f"{100 * counts[rarest] / len(y):.1f} %"
        yield f"the class {target.classes[rarest]!r} is rare: {counts[rarest]} of {len(y)} rows ({share})"
    if counts[rarest] < FOLDS:
        yield f"the class {target.classes[rarest]!r} has fewer than {FOLDS} rows, so some test parts lack it"


def _copies(features: pl.DataFrame, schema: Schema, y: np.ndarray) -> Iterator[str]:
    table = features.select(c.name for c in schema.used).with_columns(pl.Series("\0target", y))
    copies = len(y) - table.hash_rows().n_unique()
    if copies >= _COPIES * len(y):
        share = f"{100 * copies / len(y):.1f} %"
        yield (
            f"{copies} rows ({share}) equal another row in every column that is used, so test rows may have "
            "been seen in training"
        )
