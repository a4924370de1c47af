"""Preprocessing: a frame becomes a float32 matrix, by what was learnt from the training part alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lamina.data.blocks import CategoryBlock, NumberBlock, codes_of, measures
from lamina.data.scaling import SCALINGS, Curve
from lamina.data.schema import Column, Schema
from lamina.errors import LaminaError, unknown

EMBED_ABOVE = 16
"""Categories with more values than this are codes for an embedding; one-hot they would outnumber the rest."""

RAMPS, RAMPS_EACH, RAMPS_LEAST = 128, 16, 3
"""More ramps in all would leave a network of some ten thousand parameters too narrow; two say little more than none."""

PARAMS_A_RAMP = 150
"""Parameters of a network for each ramp: at 20,000 the first layer takes about half of them."""

Block = NumberBlock | CategoryBlock


def ramps_for(params: int) -> int:
    """How many ramps a table should have for networks of so many parameters: `RAMPS` from some 20,000 on."""
    return min(RAMPS, params // PARAMS_A_RAMP)


@dataclass(frozen=True)
class Encoder:
    """The preprocessing of a table, fitted; plain arrays and texts, so that it is stored without pickle.

    Attributes:
        blocks: one for each column that is used; columns of codes last.
    """

    blocks: tuple[Block, ...]

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        schema: Schema,
        *,
        scaling: str = "quantile",
        ramps: int = RAMPS,
        embed_above: int = EMBED_ABOVE,
    ) -> Encoder:
        """Learn the preprocessing from the training part.

        Args:
            frame: the training rows.
            schema: what each column is.
            scaling: ``quantile`` or ``standard``, see `lamina.data.scaling`.
            ramps: number columns get ramps beside their scaled value (`Curve.ramps`), each `RAMPS_EACH` or what brings
                the table to about this many in all, and none where that leaves fewer than `RAMPS_LEAST`. 0 for none.
            embed_above: categories with more values than this are columns of codes.

        Raises:
            LaminaError: the scaling is not known, no column is used, or a cell does not fit its column.
        """
        if scaling not in SCALINGS:
            raise unknown("scaling", scaling, SCALINGS)
        if not schema.used:
            why = schema.left_out or "the table has none"
            raise LaminaError(f"no column is left to learn from; {why}")
        _require(frame, [c.name for c in schema.used])
        numeric = sum(c.kind == "number" for c in schema.used)
        each = min(RAMPS_EACH, ramps // max(1, numeric))
        each = each if each >= RAMPS_LEAST else 0
        blocks: list[Block] = [
            CategoryBlock.fit(frame[c.name], c, embed_above)
            if c.kind == "category"
            else NumberBlock.fit(frame[c.name], c, scaling, each)
            for c in schema.used
        ]
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
        """How many codes each of the last columns has, which hold codes; 0 for unknown is counted."""
        return tuple(len(b.values) + 1 for b in self.blocks if isinstance(b, CategoryBlock) and b.embedded)

    def transform(self, frame: pl.DataFrame) -> np.ndarray:
        """The matrix (rows, n_features), float32 and finite, of a frame with the columns of the fitted one.

        Other columns are passed over. The features of a row depend on that row alone.

        Raises:
            LaminaError: columns are missing (all are named), or a cell does not fit its column.
        """
        _require(frame, [b.column.name for b in self.blocks])
        parts = [block.transform(frame[block.column.name]) for block in self.blocks]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """What is not an array, as values that JSON can hold."""
        return {"blocks": [block.to_dict() for block in self.blocks]}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays: the medians and the curves of all blocks of numbers, one after the other.

        Returns:
            ``fill`` (curves,); ``lengths`` (curves,), the number of knots of each curve; ``knots`` and
            ``heights`` (sum of lengths,).
        """
        numeric = [b for b in self.blocks if isinstance(b, NumberBlock)]
        curves = [c for b in numeric for c in b.curves]
        return {
            "fill": np.concatenate([np.empty(0), *(b.fill for b in numeric)]),
            "lengths": np.array([len(c.knots) for c in curves], dtype=np.int64),
            "knots": np.concatenate([np.empty(0), *(c.knots for c in curves)]),
            "heights": np.concatenate([np.empty(0), *(c.heights for c in curves)]),
        }

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Encoder:
        """The encoder that `to_dict` and `arrays` wrote.

        Raises:
            LaminaError: the facts and the arrays do not belong together.
        """
        try:
            blocks, curves = [], _curves(arrays)
            for block in facts["blocks"]:
                kind = CategoryBlock if "values" in block else NumberBlock
                blocks.append(kind.from_dict(block, curves))
            if next(curves, None) is not None:
                raise ValueError("there are more curves than columns")
        except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            raise LaminaError(f"the stored preprocessing is damaged: {error!r}") from error
        return cls(tuple(blocks))


def raw_columns(frame: pl.DataFrame, schema: Schema) -> Iterator[tuple[Column, np.ndarray]]:
    """The columns that are used, as numbers and as codes of the schema's categories; a date gives several.

    Yields:
        The column and its (rows,) float64 values, NaN where a cell is missing or its value unseen.
    """
    _require(frame, [c.name for c in schema.used])
    for column in schema.used:
        series = frame[column.name]
        if column.kind == "category":
            codes = codes_of(series, column.categories).astype(np.float64)
            yield column, np.where(codes < 0, np.nan, codes)
        else:
            for values in measures(series, column).values():
                yield column, values


def ordinal(frame: pl.DataFrame, schema: Schema) -> tuple[np.ndarray, np.ndarray]:
    """The table for models of trees: numbers as they are, categories as codes of the schema's values.

    Nothing is fitted, so training and test part can be taken from one matrix.

    Returns:
        (rows, features) float64, NaN where a value is missing or unseen; (features,) bool, true for codes.
    """
    columns = list(raw_columns(frame, schema))
    matrix = np.stack([values for _, values in columns], axis=1) if columns else np.empty((frame.height, 0))
    return matrix, np.array([column.kind == "category" for column, _ in columns], dtype=bool)


def _curves(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[Curve, float]]:
    ends = np.cumsum(arrays["lengths"])
    if len(ends) and ends[-1] != len(arrays["knots"]):
        raise ValueError(f"{len(arrays['knots'])} knots where {ends[-1]} are expected")
    knots, heights = np.split(arrays["knots"], ends[:-1]), np.split(arrays["heights"], ends[:-1])
    triples = zip(knots, heights, arrays["fill"], strict=True) if len(ends) else ()
    return iter([(Curve(k, h), float(median)) for k, h, median in triples])


def _is_embedded(block: Block) -> bool:
    return isinstance(block, CategoryBlock) and block.embedded


def _require(frame: pl.DataFrame, names: list[str]) -> None:
    present = set(frame.columns)
    missing = [repr(name) for name in names if name not in present]
    if missing:
        what = "column" if len(missing) == 1 else "columns"
        raise LaminaError(f"the table lacks the {what} {', '.join(missing)}, which the preprocessing needs")
