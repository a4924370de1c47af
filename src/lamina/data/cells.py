"""What the cells of a column stand for: text, numbers, truth values or dates, however they are stored.

Schema, encoder and target read columns through these functions alone, so that a cell means the same in
training and in prediction, in a CSV file and in a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from lamina.errors import LaminaError

MISSING = ("", "?", "-", "NA", "N/A", "n/a", "NaN", "nan", "<NA>", "#N/A", "NULL", "null")
"""Texts that stand for a missing value. ``none`` is not among them: it is a category in many tables."""

_ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$"
_PATTERNS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M%z",
)
_Parse = Callable[[pl.Series], tuple[pl.Series, pl.Series]]
_TRUTH = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
# Beyond this, differences and squares of values no longer fit into a float64.
_LARGEST = 1e100


def is_plain(dtype: pl.DataType) -> bool:
    """Whether cells of this type are single values that can be read as text."""
    return not (dtype.is_nested() or dtype in (pl.Object, pl.Binary))


def as_text(series: pl.Series) -> pl.Series:
    """The cells as text without surrounding spaces; null where missing.

    Whole numbers are written without a decimal point, so that the category ``2`` stays the same value when a
    column with a missing cell turns it into ``2.0``.
    """
    if series.dtype.is_float():
        whole = series.is_finite() & (series == series.round(0)) & (series.abs() < 1e15)
        text = series.cast(pl.String)
        integers = series.cast(pl.Int64, strict=False).cast(pl.String)
        text = integers.zip_with(whole.fill_null(False), text)
    else:
        text = series.cast(pl.String)
    text = text.str.strip_chars()
    return text.set(text.is_in(MISSING).fill_null(False), None)


def parse_numbers(series: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The cells as numbers, and the texts among them that are not.

    Returns:
        Float64 values, null where missing or not a number, infinities kept; and the distinct texts (sorted)
        that are neither a number nor a mark for a missing value. Durations are in seconds, times of day in
        seconds since midnight.
    """
    nothing = pl.Series([], dtype=pl.String)
    dtype = series.dtype
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return series.cast(pl.Float64).fill_nan(None), nothing
    if dtype == pl.Duration:
        return series.dt.total_microseconds().cast(pl.Float64) / 1e6, nothing
    if dtype == pl.Time:
        return series.cast(pl.Int64).cast(pl.Float64) / 1e9, nothing
    text = as_text(series)
    values = text.cast(pl.Float64, strict=False).fill_nan(None)
    return values, text.filter(values.is_null() & text.is_not_null()).unique().sort()


def parse_dates(series: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The cells as points in time, in UTC where they state an offset, and the texts among them that are none.

    Returns:
        Datetime values in microseconds, null where missing or not an ISO date; and the distinct texts
        that are neither.
    """
    stamp = pl.Datetime("us")
    if series.dtype in (pl.Date, pl.Null):
        return series.cast(stamp), pl.Series([], dtype=pl.String)
    if series.dtype == pl.Datetime:
        zone = getattr(series.dtype, "time_zone", None)
        utc = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else series
        return utc.cast(stamp), pl.Series([], dtype=pl.String)
    text = as_text(series)
    iso = text.set(~text.str.contains(_ISO).fill_null(False), None)
    iso = iso.str.replace_all("/", "-", literal=True).str.replace("T", " ").str.replace("Z$", "+00:00")
    values = pl.Series(text.name, [None] * len(text), dtype=stamp)
    for pattern in _PATTERNS:
        if values.null_count() == text.null_count():
            break
        found = iso.str.to_datetime(pattern, time_unit="us", strict=False)
        found = found.dt.replace_time_zone(None) if "%z" in pattern else found
        values = values.zip_with(values.is_not_null(), found)
    return values, text.filter(values.is_null() & text.is_not_null()).unique().sort()


def typed(text: pl.Series) -> pl.Series:
    """A column of text as the narrowest type that every cell of it can be read as, or as tidy text."""
    tidy = as_text(text)
    if tidy.null_count() == len(tidy):
        return tidy
    lower = tidy.str.to_lowercase()
    if lower.is_in(["true", "false"]).all():
        return lower == "true"
    values, strangers = parse_numbers(tidy)
    if strangers.is_empty():
        integers = tidy.cast(pl.Int64, strict=False)
        return integers if integers.null_count() == tidy.null_count() else values
    if tidy.str.contains(_ISO).all():
        values, strangers = parse_dates(tidy)
        return values if strangers.is_empty() else tidy
    return tidy


def numbers(series: pl.Series, words: Sequence[str] = ()) -> np.ndarray:
    """(rows,) float64, NaN where a cell is missing, infinite or one of the `words` that mark a missing value.

    Raises:
        LaminaError: a cell is something else than a number; it is shown.
    """
    values, strangers = _expect("numbers", series, parse_numbers)
    _refuse(series, "numbers", strangers.filter(~strangers.is_in(list(words))))
    array = values.to_numpy().astype(np.float64)
    return np.clip(np.where(np.isfinite(array), array, np.nan), -_LARGEST, _LARGEST)


def truths(series: pl.Series) -> np.ndarray:
    """(rows,) float64: 1 for true, 0 for false, NaN where missing."""
    text = as_text(series).str.to_lowercase()
    values = text.replace_strict(_TRUTH, default=None, return_dtype=pl.Float64)
    _refuse(series, "true or false", text.filter(values.is_null() & text.is_not_null()))
    return values.to_numpy().astype(np.float64)


def date_parts(series: pl.Series) -> dict[str, np.ndarray]:
    """The parts of a date as numbers, NaN where missing.

    They are the days elapsed since 1970, the year, the month (1..12), the day of the month, the weekday (1 is
    Monday) and the second of the day.
    """
    values, strangers = _expect("dates", series, parse_dates)
    _refuse(series, "dates (like 2024-12-31)", strangers)
    time = values.dt
    parts = {
        "elapsed": values.cast(pl.Int64).cast(pl.Float64) / 86_400e6,
        "year": time.year(),
        "month": time.month(),
        "day": time.day(),
        "weekday": time.weekday(),
        "second": time.hour().cast(pl.Int32) * 3600 + time.minute().cast(pl.Int32) * 60 + time.second(),
    }
    return {name: part.cast(pl.Float64).to_numpy() for name, part in parts.items()}


def _expect(what: str, series: pl.Series, parse: _Parse) -> tuple[pl.Series, pl.Series]:
    wrong = (pl.Date, pl.Datetime) if what == "numbers" else (pl.Boolean, pl.Duration, pl.Time)
    numeric = what == "dates" and series.dtype.is_numeric()
    if not is_plain(series.dtype) or series.dtype in wrong or numeric:
        raise LaminaError(f"column {series.name!r} is of type {series.dtype}; {what} are expected in it")
    return parse(series)


def _refuse(series: pl.Series, wanted: str, strangers: pl.Series) -> None:
    if not strangers.is_empty():
        raise LaminaError(f"column {series.name!r} holds {strangers[0]!r}; {wanted} are expected in it")
