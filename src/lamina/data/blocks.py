"""How one column becomes features: numbers are scaled, categories become indicators or codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lamina.data.cells import as_text, date_parts, is_plain, numbers, truths
from lamina.data.scaling import SCALINGS, Curve
from lamina.data.schema import Column
from lamina.errors import LaminaError


@dataclass(frozen=True)
class NumberBlock:
    """The features of a number, a boolean or a date: its scaled value, and ramps along it.

    Attributes:
        column: the column that they are made of.
        parts: for each curve, the part of a date that it is of; ``""`` for a number or a boolean.
        fill: (curves,) the medians, in place of missing values.
        curves: one for each feature.
        marked: whether a last feature says where the value is missing.
    """

    column: Column
    parts: tuple[str, ...]
    fill: np.ndarray
    curves: tuple[Curve, ...]
    marked: bool

    @classmethod
    def fit(cls, series: pl.Series, column: Column, scaling: str, ramps: int = 0) -> NumberBlock:
        """Learn medians, scaling and as many ramps from the training part."""
        parts = measures(series, column)
        present = {name: x[~np.isnan(x)] for name, x in parts.items()}
        kept = [name for i, (name, x) in enumerate(present.items()) if i == 0 or len(np.unique(x)) > 1]
        fit = Curve.identity if column.kind == "boolean" else SCALINGS[scaling]
        curves = [(name, fit(present[name])) for name in kept]
        if column.kind == "number" and ramps:
            curves += [("", ramp) for ramp in Curve.ramps(present[""], ramps)]
        medians = {name: np.median(present[name]) if len(present[name]) else 0.0 for name in kept}
        fill = np.array([medians[name] for name, _ in curves])
        marked = any(len(present[name]) < len(series) for name in kept)
        return cls(column, tuple(name for name, _ in curves), fill, tuple(c for _, c in curves), marked)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        name, seen, made = self.column.name, set(), []
        for part, curve in zip(self.parts, self.curves, strict=True):
            label = f"{name}: {part}" if part else name
            made.append(f"{label} from {curve.knots[0]:.6g} to {curve.knots[-1]:.6g}" if part in seen else label)
            seen.add(part)
        return (*made, f"{name}: missing") if self.marked else tuple(made)

    def transform(self, series: pl.Series) -> np.ndarray:
        """(rows, features) float32."""
        parts = measures(series, self.column)
        out = np.empty((len(series), len(self.curves) + self.marked), dtype=np.float32)
        for i, (part, curve) in enumerate(zip(self.parts, self.curves, strict=True)):
            x = parts[part]
            out[:, i] = curve(np.where(np.isnan(x), self.fill[i], x))
        if self.marked:
            out[:, -1] = np.isnan(parts[self.parts[0]])
        return out

    def to_dict(self) -> dict[str, Any]:
        """What is not an array, as values that JSON can hold."""
        return {"column": self.column.to_dict(), "parts": list(self.parts), "marked": self.marked}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], curves: Iterator[tuple[Curve, float]]) -> NumberBlock:
        """The block that `to_dict` wrote; it takes its curves and medians off the front of `curves`."""
        own = [next(curves) for _ in facts["parts"]]
        fill = np.array([median for _, median in own])
        column = Column.from_dict(facts["column"])
        return cls(column, tuple(facts["parts"]), fill, tuple(c for c, _ in own), facts["marked"])


@dataclass(frozen=True)
class CategoryBlock:
    """The features of a category: a column of 0 and 1 for each value, or one column of codes.

    A value that is missing or was not seen in training is 0 in every column, or has the code 0.

    Attributes:
        column: the column that they are made of.
        values: the values in the training part, sorted.
        embedded: whether they are codes ``1..len(values)``.
    """

    column: Column
    values: tuple[str, ...]
    embedded: bool

    @classmethod
    def fit(cls, series: pl.Series, column: Column, embed_above: int) -> CategoryBlock:
        """Learn the values from the training part."""
        values = tuple(_category_text(series).drop_nulls().unique().sort())
        return cls(column, values, len(values) > embed_above)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        name = self.column.name
        return (name,) if self.embedded else tuple(f"{name} = {value}" for value in self.values)

    def transform(self, series: pl.Series) -> np.ndarray:
        """(rows, features) float32."""
        codes = codes_of(series, self.values)
        if self.embedded:
            return (codes + 1).astype(np.float32)[:, None]
        return (codes[:, None] == np.arange(len(self.values))).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The block as values that JSON can hold."""
        return {"column": self.column.to_dict(), "values": list(self.values), "embedded": self.embedded}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], curves: Iterator[tuple[Curve, float]]) -> CategoryBlock:
        """The block that `to_dict` wrote; it has no `curves`."""
        return cls(Column.from_dict(facts["column"]), tuple(facts["values"]), facts["embedded"])


def measures(series: pl.Series, column: Column) -> dict[str, np.ndarray]:
    """The numbers in a column that is a number, a boolean or a date.

    Returns:
        (rows,) float64 by part, NaN where missing; a number or a boolean has one part, ``""``.
    """
    if column.kind == "date":
        return date_parts(series)
    return {"": truths(series) if column.kind == "boolean" else numbers(series, column.words)}


def codes_of(series: pl.Series, values: tuple[str, ...]) -> np.ndarray:
    """(rows,) int64: the position of each cell among the `values`, -1 where it is missing or none of them."""
    codes = _category_text(series).cast(pl.Enum(values), strict=False).to_physical()
    return codes.cast(pl.Int64).fill_null(-1).to_numpy()


def _category_text(series: pl.Series) -> pl.Series:
    if not is_plain(series.dtype):
        raise LaminaError(f"column {series.name!r} is of type {series.dtype}; categories are expected in it")
    return as_text(series)
