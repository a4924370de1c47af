"""The target: what kind of task it makes, and how its values become codes and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lamina.data.cells import as_text, is_plain, parse_numbers
from lamina.data.schema import mostly_numbers
from lamina.errors import LaminaError, unknown

KINDS = ("binary", "multiclass", "regression")
MOST_CLASSES = 20
"""Integers with more distinct values than this are a quantity."""
ROWS_PER_CLASS = 5
"""Integers with fewer rows for each distinct value than this are a quantity too."""
_SCORE_VALUES = 6


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        name: the column.
        kind: ``binary``, ``multiclass`` or ``regression``.
        classes: the original labels, sorted: str, int, bool or float; empty for a regression.
    """

    name: str
    kind: str
    classes: tuple[Any, ...] = ()

    @property
    def outputs(self) -> int:
        """The number of values a network returns for a row: one for each class, or one."""
        return len(self.classes) or 1

    def encode(self, series: pl.Series) -> np.ndarray:
        """The codes ``0..k-1`` of the classes as (rows,) int64, or the values as (rows,) float64.

        Raises:
            LaminaError: a cell is missing, no number, or a label that is none of the classes.
        """
        if self.kind == "regression":
            values, strangers = parse_numbers(series)
            if not values.is_finite().fill_null(False).all():
                shown = repr(strangers[0]) if len(strangers) else "a missing or infinite value"
                raise LaminaError(f"target {self.name!r} holds {shown}; a number is expected in every row")
            return values.to_numpy().astype(np.float64)
        labels = _labels(series, type(self.classes[0]))
        known = pl.Series(self.classes, dtype=labels.dtype)
        codes = labels.replace_strict(known, range(len(known)), default=None, return_dtype=pl.Int64)
        if codes.null_count():
            shown = labels.filter(codes.is_null())[0]
            what = "a missing value" if shown is None else repr(shown)
            raise LaminaError(f"target {self.name!r} holds {what}; expected one of {_listed(self.classes)}")
        return codes.to_numpy().astype(np.int64)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The original labels of class codes; the values of a regression as they are."""
        return np.asarray(codes) if self.kind == "regression" else np.array(self.classes)[np.asarray(codes)]

    def to_dict(self) -> dict[str, Any]:
        """The target as values that JSON can hold."""
        return {"name": self.name, "kind": self.kind, "classes": list(self.classes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Target:
        """The target that `to_dict` wrote."""
        return cls(values["name"], values["kind"], tuple(values["classes"]))


def infer_target(series: pl.Series, name: str | None = None, task: str | None = None) -> Target:
    """Find the kind of task in the values of the target.

    Text and truth values are classes, and so are two distinct values of any type. Numbers with decimals are a
    regression. Integers are classes if there are at most `MOST_CLASSES` distinct ones with `ROWS_PER_CLASS`
    rows for each on average, unless they look like a score: six or more values whose counts rise to one peak
    and fall again to less than half of it at both ends, as grades do and labels do not.

    Args:
        series: the target; missing and infinite cells are passed over.
        name: what to call it; by default the name of the series.
        task: ``binary``, ``multiclass`` or ``regression``, where the user knows better.

    Raises:
        LaminaError: every value is missing, or all are the same, or a class has a single row, or the values
            do not fit the `task` asked for.
    """
    name = name or series.name
    if task is not None and task not in KINDS:
        raise unknown("task", task, KINDS)
    values = target_values(series, task)
    present = values.drop_nulls()
    if present.is_empty():
        raise LaminaError(f"target {name!r}: every value is missing; choose another column")
    if present.n_unique() == 1:
        shown = as_text(present.head(1))[0]
        raise LaminaError(f"target {name!r} is constant: it is {shown!r} in every row; choose another column")
    numeric = present.dtype == pl.Float64
    if task == "regression" and not numeric:
        raise LaminaError(f"target {name!r} holds {present[0]!r}; a regression needs numbers")
    if task == "regression" or (task is None and numeric and _is_quantity(present)):
        return Target(name, "regression")
    return _classes(present, name, task)


def target_values(series: pl.Series, task: str | None = None) -> pl.Series:
    """The target as Float64, String or Boolean; null where missing, infinite or a word among numbers."""
    if series.dtype == pl.Boolean:
        return series
    if not is_plain(series.dtype):
        raise LaminaError(f"target {series.name!r} is of type {series.dtype}; text or numbers are expected")
    if series.dtype in (pl.Categorical, pl.Enum):
        return as_text(series)
    values, strangers = parse_numbers(series)
    asked = task == "regression" and strangers.is_empty()
    numeric = series.dtype.is_numeric() or series.dtype == pl.Duration
    if numeric or asked or mostly_numbers(values, strangers):
        return values.set(values.is_infinite().fill_null(False), None)
    return as_text(series)


def looks_like_a_score(values: pl.Series) -> bool:
    """Whether the counts of the distinct values rise to one peak and fall again, as those of grades do."""
    counts = values.value_counts(name="rows").sort(values.name)["rows"].to_numpy().astype(float)
    peak = int(counts.argmax())
    if len(counts) < _SCORE_VALUES or max(counts[0], counts[-1]) > counts[peak] / 2:
        return False
    away = np.concatenate([-np.diff(counts[: peak + 1]), np.diff(counts[peak:])])
    noise = 2 * np.sqrt(counts[:-1] + counts[1:])  # two standard errors of a difference of counts
    return bool((away <= noise).all())


def _is_quantity(values: pl.Series) -> bool:
    distinct = values.n_unique()
    if distinct == 2:
        return False
    if (values != values.round(0)).any():
        return True
    few = distinct <= MOST_CLASSES and distinct * ROWS_PER_CLASS <= len(values)
    return not few or looks_like_a_score(values)


def _classes(present: pl.Series, name: str, task: str | None) -> Target:
    if present.dtype == pl.Float64 and (present == present.round(0)).all():
        present = present.cast(pl.Int64, strict=False)
    counts = present.value_counts(name="rows").sort(present.name)
    classes = tuple(counts[present.name])
    if task == "binary" and len(classes) > 2:
        raise LaminaError(f"target {name!r} has {len(classes)} classes; a binary task has two")
    single = counts.filter(pl.col("rows") == 1)[present.name]
    if len(single):
        what = "the class {} has" if len(single) == 1 else "the classes {} each have"
        raise LaminaError(
            f"target {name!r}: {what.format(_listed(tuple(single)))} a single row, which cannot be in "
            "training and in test at once; leave it out, join the class with another, or give the task "
            "'regression' if the target is a quantity"
        )
    return Target(name, "binary" if len(classes) == 2 else "multiclass", classes)


def _labels(series: pl.Series, kind: type) -> pl.Series:
    if kind is str:
        return as_text(series)
    if kind is bool:
        return series if series.dtype == pl.Boolean else as_text(series).str.to_lowercase() == "true"
    return parse_numbers(series)[0]  # whole numbers too: a missing cell has made floats of them


def _listed(labels: tuple[Any, ...], most: int = 5) -> str:
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(map(repr, labels[:most])) + more
