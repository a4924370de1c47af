"""What each column of a table is, and what is done with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from lamina.data.cells import as_text, is_plain, parse_dates, parse_numbers, typed

FEW = 10
"""Text with at most so many distinct values is a category, however few rows there are."""
ROWS_PER_VALUE = 5
"""Text with more distinct values is a category if every value stands in so many rows on average ..."""
MOST_VALUES = 1000
"""... and there are at most so many."""
LEFT_OUT = "left out: "
_ID_ROWS = 20
_ID_NAME = re.compile(r"(?:^|[_\-. ])(?i:id|uuid|guid|key|index|number|nr|no)$|[a-z](?:ID|Id|Number|Nr|Key)$")


@dataclass(frozen=True)
class Column:
    """One column of the features.

    Attributes:
        name: as in the table.
        kind: ``number``, ``category``, ``boolean``, ``date``, ``text``, ``id``, ``constant`` or ``empty``.
        used: whether the networks get it.
        treatment: what is done with it, in words, for the report.
        categories: the values of a category or a boolean, sorted.
        missing: the number of missing cells, infinite ones included.
        words: texts that mark a missing cell in a column of numbers, beyond the usual marks.
    """

    name: str
    kind: str
    used: bool
    treatment: str
    categories: tuple[str, ...] = ()
    missing: int = 0
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The column as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Column:
        """The column that `to_dict` wrote."""
        return cls(**{**values, "categories": tuple(values["categories"]), "words": tuple(values["words"])})


@dataclass(frozen=True)
class Schema:
    """The columns of the features, in the order of the frame."""

    columns: tuple[Column, ...]

    @property
    def left_out(self) -> str:
        """A clause about the columns that are left out; empty where there are none."""
        reasons = [f"{c.name!r} ({c.treatment.removeprefix(LEFT_OUT)})" for c in self.columns if not c.used]
        more = f" and {len(reasons) - 10} more" if len(reasons) > 10 else ""
        return f"columns left out: {', '.join(reasons[:10])}{more}" if reasons else ""

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that the networks get."""
        return tuple(c for c in self.columns if c.used)


def infer_schema(features: pl.DataFrame) -> Schema:
    """Find out what each column is.

    Text is a number if its cells are numbers but for at most three words, a category if it has few distinct
    values (at most `FEW`, or at most `MOST_VALUES` with `ROWS_PER_VALUE` rows for each on average), else
    text, which is left out. Integers that are distinct in every row are an id if they count up without a gap,
    always rise from row to row, or are named like an id; measurements with decimals never are.

    Args:
        features: the table without its target.
    """
    return Schema(tuple(_column(series) for series in features))


def _column(series: pl.Series) -> Column:
    series = typed(series) if series.dtype == pl.String else series
    name, dtype = series.name, series.dtype
    if not is_plain(dtype):
        return Column(name, "text", False, f"{LEFT_OUT}its cells are of type {dtype}")
    if dtype in (pl.Date, pl.Datetime):
        values, _ = parse_dates(series)
        return _left_out(values) or _date(values)
    if dtype == pl.Boolean:
        return _left_out(series) or _boolean(series)
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        values, _ = parse_numbers(series)
        return _left_out(_finite(values)) or _integer_id(series) or _number(values)
    return _text(as_text(series), declared=dtype in (pl.Categorical, pl.Enum))


def _finite(values: pl.Series) -> pl.Series:
    return values.set(values.is_infinite().fill_null(False), None)


def _left_out(values: pl.Series) -> Column | None:
    """The column if there is nothing to learn from it: no value at all, or the same in every row."""
    missing = values.null_count()
    if missing == len(values):
        return Column(values.name, "empty", False, LEFT_OUT + "every cell is missing", missing=missing)
    if values.n_unique() == 1 and len(values) > 1:
        value = as_text(values.head(1))[0]
        return Column(values.name, "constant", False, f"{LEFT_OUT}every cell is {value}")
    return None


def _integer_id(series: pl.Series) -> Column | None:
    n = len(series)
    if not series.dtype.is_integer() or n < _ID_ROWS or series.n_unique() < n or series.null_count():
        return None
    steps = series.cast(pl.Float64).diff().drop_nulls()
    low, high = series.cast(pl.Float64).min(), series.cast(pl.Float64).max()
    if high - low == n - 1:  # type: ignore[operator]
        why = "counts the rows"
    elif (steps > 0).all() or (steps < 0).all():
        why = "is distinct in every row and changes in one direction only"
    elif _ID_NAME.search(series.name):
        why = "is distinct in every row and named like an id"
    else:
        return None
    return Column(series.name, "id", False, f"{LEFT_OUT}an id, it {why}")


def _number(values: pl.Series, words: tuple[str, ...] = ()) -> Column:
    infinite = int(values.is_infinite().sum())
    missing = values.null_count() + infinite
    notes = [f"missing in {_rows(missing)}, filled with the median and marked"] if missing else []
    notes += [f"infinite in {_rows(infinite)}, which counts as missing"] if infinite else []
    notes += ["the words " + ", ".join(map(repr, words)) + " count as missing"] if words else []
    return Column(values.name, "number", True, "; ".join(["number", *notes]), missing=missing, words=words)


def _boolean(values: pl.Series) -> Column:
    missing = values.null_count()
    note = f"; missing in {_rows(missing)}, marked" if missing else ""
    return Column(values.name, "boolean", True, f"true or false{note}", ("false", "true"), missing)


def _date(values: pl.Series) -> Column:
    missing = values.null_count()
    note = f"; missing in {_rows(missing)}, filled with the median and marked" if missing else ""
    treatment = f"date: elapsed time, year, month, day, weekday and time of day as numbers{note}"
    return Column(values.name, "date", True, treatment, missing=missing)


def _text(text: pl.Series, *, declared: bool) -> Column:
    """What text is that is not numbers, truth values or dates throughout, or was `declared` a category."""
    if (column := _left_out(text)) is not None:
        return column
    rows = len(text) - text.null_count()
    numbers, strangers = parse_numbers(text)
    if not declared and mostly_numbers(numbers, strangers):
        return _left_out(_finite(numbers)) or _number(numbers, tuple(strangers))
    distinct = text.drop_nulls().unique().sort()
    if len(distinct) <= FEW or len(distinct) <= min(MOST_VALUES, rows / ROWS_PER_VALUE):
        return _category(text, tuple(distinct))
    return _prose(text, len(distinct), rows)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def mostly_numbers(numbers: pl.Series, strangers: pl.Series) -> bool:
    """Whether text is numbers but for a few words, by what `lamina.data.cells.parse_numbers` made of it."""
    return len(strangers) <= 3 and numbers.drop_nulls().n_unique() > FEW


def _category(text: pl.Series, categories: tuple[str, ...]) -> Column:
    missing = text.null_count()
    values = "1 value" if len(categories) == 1 else f"{len(categories)} values"
    note = f"; missing in {_rows(missing)}, a case of its own" if missing else ""
    return Column(text.name, "category", True, f"category of {values}{note}", categories, missing)


def _prose(text: pl.Series, distinct: int, rows: int) -> Column:
    is_id = distinct == rows and not text.str.contains(r"\s").any()
    kind, what = ("id", "an id") if is_id else ("text", "free text")
    treatment = f"{LEFT_OUT}{what}, {distinct} distinct values in {rows} rows"
    return Column(text.name, kind, False, treatment, missing=text.null_count())
