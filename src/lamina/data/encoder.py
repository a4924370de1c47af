"""Preprocessing: a frame becomes a float32 matrix, by what was learnt from the training part alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lamina.data.cells import as_text, date_parts, is_plain, numbers, truths
from lamina.data.scaling import SCALINGS, Curve
from lamina.data.schema import Column, Schema
from lamina.errors import LaminaError, unknown

EMBED_ABOVE = 16
"""Categories with more values than this are codes for an embedding: one-hot columns would outnumber the others."""


@dataclass(frozen=True)
class NumberBlock:
    """The features of a number, a boolean or a date.

    Attributes:
        column: the column that they are made of.
        parts: ``("",)``, or the parts of a date that vary.
        fill: (parts,) the medians, in place of missing values.
        curves: the scaling of each part.
        marked: whether a last feature says where the value is missing.
    """

    column: Column
    parts: tuple[str, ...]
    fill: np.ndarray
    curves: tuple[Curve, ...]
    marked: bool

    @classmethod
    def fit(cls, series: pl.Series, column: Column, scaling: str) -> NumberBlock:
        """Learn medians and scaling from the training part."""
        parts = {
            name: x for name, x in measures(series, column).items() if name in ("", "elapsed") or _varies(x)
        }
        present = [x[~np.isnan(x)] for x in parts.values()]
        fill = np.array([np.median(x) if len(x) else 0.0 for x in present])
        fit = Curve.identity if column.kind == "boolean" else SCALINGS[scaling]
        marked = bool(np.isnan(next(iter(parts.values()))).any())
        return cls(column, tuple(parts), fill, tuple(fit(x) for x in present), marked)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        name = self.column.name
        made = tuple(f"{name}: {part}" if part else name for part in self.parts)
        return (*made, f"{name}: missing") if self.marked else made

    def transform(self, series: pl.Series) -> np.ndarray:
        """(rows, features) float32."""
        parts = measures(series, self.column)
        out = np.empty((len(series), len(self.names)), dtype=np.float32)
        for i, (part, curve) in enumerate(zip(self.parts, self.curves, strict=True)):
            x = parts[part]
            out[:, i] = curve(np.where(np.isnan(x), self.fill[i], x))
        if self.marked:
            out[:, -1] = np.isnan(parts[self.parts[0]])
        return out


@dataclass(frozen=True)
class CategoryBlock:
    """The features of a category: a column of 0 and 1 for each value, or one column of codes.

    A value that was missing or not seen in training is 0 in every column, or has the code 0.

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


@dataclass(frozen=True)
class Encoder:
    """The preprocessing of a table, fitted; plain arrays and texts, so that it is stored without pickle.

    Attributes:
        blocks: one for each column that is used; columns of codes last.
    """

    blocks: tuple[NumberBlock | CategoryBlock, ...]

    @classmethod
    def fit(
        cls, frame: pl.DataFrame, schema: Schema, *, scaling: str = "quantile", embed_above: int = EMBED_ABOVE
    ) -> Encoder:
        """Learn the preprocessing from the training part.

        Args:
            frame: the training rows.
            schema: what each column is.
            scaling: ``quantile`` or ``standard``, see `lamina.data.scaling`.
            embed_above: categories with more values than this are columns of codes.

        Raises:
            LaminaError: the scaling is not known, no column is used, or a cell does not fit its column.
        """
        if scaling not in SCALINGS:
            raise unknown("scaling", scaling, SCALINGS)
        _require(frame, [c.name for c in schema.used])
        blocks = [
            CategoryBlock.fit(frame[c.name], c, embed_above)
            if c.kind == "category"
            else NumberBlock.fit(frame[c.name], c, scaling)
            for c in schema.used
        ]
        if not blocks:
            raise LaminaError("no column is left to learn from: " + _reasons(schema))
        return cls(tuple(sorted(blocks, key=_is_embedded)))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of the matrix."""
        return tuple(name for block in self.blocks for name in block.names)

    @property
    def n_features(self) -> int:
        """The number of columns of the matrix, those of codes included."""
        return len(self.feature_names)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """For each of the last columns, which hold codes: how many codes there are, 0 for unknown included."""
        return tuple(len(b.values) + 1 for b in self.blocks if isinstance(b, CategoryBlock) and b.embedded)

    def transform(self, frame: pl.DataFrame) -> np.ndarray:
        """The matrix (rows, n_features), float32 and finite, of any frame with the columns of the training part.

        Other columns are passed over.

        Raises:
            LaminaError: columns are missing (all are named), or a cell does not fit its column.
        """
        _require(frame, [b.column.name for b in self.blocks])
        parts = [block.transform(frame[block.column.name]) for block in self.blocks]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """What is not an array, as values that JSON can hold."""
        return {"blocks": [_block_to_dict(b) for b in self.blocks]}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays: the fills and the curves of all blocks of numbers, one after the other."""
        number_blocks = [b for b in self.blocks if isinstance(b, NumberBlock)]
        curves = [c for b in number_blocks for c in b.curves]
        return {
            "fill": np.concatenate([np.empty(0), *(b.fill for b in number_blocks)]),
            "lengths": np.array([len(c.knots) for c in curves], dtype=np.int64),
            "knots": np.concatenate([np.empty(0), *(c.knots for c in curves)]),
            "heights": np.concatenate([np.empty(0), *(c.heights for c in curves)]),
        }

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Encoder:
        """The encoder that `to_dict` and `arrays` wrote."""
        ends = np.cumsum(arrays["lengths"])[:-1]
        pairs = zip(np.split(arrays["knots"], ends), np.split(arrays["heights"], ends), strict=True)
        curves, fill = [Curve(*pair) for pair in pairs], list(arrays["fill"])
        blocks: list[NumberBlock | CategoryBlock] = []
        for block in facts["blocks"]:
            column = Column.from_dict(block["column"])
            if "values" in block:
                blocks.append(CategoryBlock(column, tuple(block["values"]), block["embedded"]))
                continue
            n = len(block["parts"])
            parts = tuple(block["parts"])
            blocks.append(NumberBlock(column, parts, np.array(fill[:n]), tuple(curves[:n]), block["marked"]))
            curves, fill = curves[n:], fill[n:]
        return cls(tuple(blocks))


def measures(series: pl.Series, column: Column) -> dict[str, np.ndarray]:
    """The numbers in a column that is a number, a boolean or a date: (rows,) float64 by part, NaN where missing."""
    if column.kind == "date":
        return date_parts(series)
    return {"": truths(series) if column.kind == "boolean" else numbers(series, column.words)}


def codes_of(series: pl.Series, values: tuple[str, ...]) -> np.ndarray:
    """(rows,) int64: the position of each cell among the `values`, -1 where it is missing or none of them."""
    known = pl.Enum(values)
    return (
        _category_text(series).cast(known, strict=False).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
    )


def ordinal(frame: pl.DataFrame, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """The table for models of trees: numbers as they are, categories as codes of the schema's values.

    Nothing is fitted, so training and test part can be taken from one matrix.

    Returns:
        (rows, features) float64, NaN where a value is missing or unseen; and (features,) bool, true for codes.
    """
    _require(frame, [c.name for c in schema.used])
    made: list[np.ndarray] = []
    is_code: list[bool] = []
    for column in schema.used:
        series = frame[column.name]
        if column.kind == "category":
            codes = codes_of(series, column.categories).astype(np.float64)
            made.append(np.where(codes < 0, np.nan, codes))
            is_code.append(True)
        else:
            parts = measures(series, column)
            made.extend(parts.values())
            is_code.extend([False] * len(parts))
    matrix = np.stack(made, axis=1) if made else np.empty((frame.height, 0))
    return matrix, np.array(is_code, dtype=bool)


def _category_text(series: pl.Series) -> pl.Series:
    if not is_plain(series.dtype):
        raise LaminaError(f"column {series.name!r} is of type {series.dtype}; categories are expected in it")
    return as_text(series)


def _varies(x: np.ndarray) -> bool:
    present = x[~np.isnan(x)]
    return len(present) > 0 and bool((present != present[0]).any())


def _is_embedded(block: NumberBlock | CategoryBlock) -> bool:
    return isinstance(block, CategoryBlock) and block.embedded


def _require(frame: pl.DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        what = "column" if len(missing) == 1 else "columns"
        raise LaminaError(
            f"the table lacks the {what} {', '.join(map(repr, missing))}, which the network was fitted on"
        )


def _reasons(schema: Schema) -> str:
    return (
        "; ".join(f"{c.name!r} is {c.treatment}" for c in schema.columns[:3])
        or "the table has no other column"
    )


def _block_to_dict(block: NumberBlock | CategoryBlock) -> dict[str, Any]:
    facts: dict[str, Any] = {"column": block.column.to_dict()}
    if isinstance(block, CategoryBlock):
        return facts | {"values": list(block.values), "embedded": block.embedded}
    return facts | {"parts": list(block.parts), "marked": block.marked}
