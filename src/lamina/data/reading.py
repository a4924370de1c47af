"""Reading tables: files, bundled data sets and frames of any library, all into one polars frame."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from lamina.data.bundled import BUNDLED, Bundled
from lamina.data.cells import typed
from lamina.errors import LaminaError, closest

__all__ = ["BUNDLED", "FORMATS", "Bundled", "read_table"]

FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".arrow", ".feather", ".ipc")


def read_table(source: Any) -> pl.DataFrame:
    """The table that `source` names or is.

    Args:
        source: the path of a file (one of `FORMATS`), the name of a bundled data set (`BUNDLED`), or a frame
            (polars, pandas, pyarrow, anything narwhals knows).

    Returns:
        The table. Text of CSV files has become numbers, truth values and ISO dates in the columns where every
        cell can be read so; marks like ``?`` and ``NA`` have become missing.

    Raises:
        LaminaError: there is no such file or data set, or it holds no table or no rows.
    """
    if isinstance(source, str) and source in BUNDLED:
        return BUNDLED[source].load()
    if isinstance(source, (str, Path)):
        return _read_file(Path(source))
    return _from_frame(source)


def _read_file(path: Path) -> pl.DataFrame:
    name = path.name.lower()
    if not path.is_file():
        raise _no_such(path)
    if not name.endswith(FORMATS):
        raise LaminaError(f"{str(path)!r} is none of the kinds of file that are read: {', '.join(FORMATS)}")
    if path.stat().st_size == 0:
        raise LaminaError(f"{str(path)!r} is empty; a table with a header and rows is expected")
    try:
        if name.endswith(".parquet"):
            frame = pl.read_parquet(path, glob=False)
        elif name.endswith((".csv", ".tsv", ".gz")):
            frame = _read_text(path, "\t" if ".tsv" in path.suffixes else None)
        else:
            frame = pl.read_ipc(path, memory_map=False)
    except (OSError, EOFError, zlib.error, pl.exceptions.PolarsError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise LaminaError(f"{str(path)!r} cannot be read as {path.suffix[1:]}: {reason}") from error
    if frame.is_empty():
        raise LaminaError(f"{str(path)!r} has a header but no rows")
    return frame


def _no_such(path: Path) -> LaminaError:
    folder = path.parent
    if path.is_dir():
        return LaminaError(f"{str(path)!r} is a folder; a file ({', '.join(FORMATS)}) is expected")
    if not folder.is_dir():
        return LaminaError(f"no file {str(path)!r}: there is no folder {str(folder)!r}")
    files = [f.name for f in folder.iterdir() if f.name.lower().endswith(FORMATS)]
    near = ", ".join(closest(path.name, [*files, *BUNDLED]))
    return LaminaError(f"no file {str(path)!r} and no bundled data set of that name; the closest are: {near}")


def _read_text(path: Path, separator: str | None) -> pl.DataFrame:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if not text.strip():
        raise LaminaError(f"{str(path)!r} is empty; a table with a header and rows is expected")
    if "\0" in text[:1000]:
        raise LaminaError(f"{str(path)!r} cannot be read as text; is it another kind of file?")
    separator = separator or _separator(text)
    try:
        frame = pl.read_csv(io.BytesIO(text.encode()), separator=separator, infer_schema_length=0)
    except pl.exceptions.PolarsError:
        _refuse_ragged(path, text, separator)
        raise
    # A row that is too short shows as a missing cell in the last column.
    if frame.width > 1 and frame[:, -1].null_count():
        _refuse_ragged(path, text, separator)
    return frame.select(typed(column) for column in frame)


def _separator(text: str) -> str:
    header = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    return max(",;\t|", key=header.count)


def _refuse_ragged(path: Path, text: str, separator: str) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    width = len(next(rows))
    for row in rows:
        if row and len(row) != width:
            raise LaminaError(
                f"{str(path)!r}, line {rows.line_num}: {len(row)} cells where the header has {width} columns"
            )


def _from_frame(source: Any) -> pl.DataFrame:
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    try:
        frame = nw.from_native(source, eager_only=True)
    except TypeError:
        raise LaminaError(
            f"a value of type {type(source).__name__} is no table; a path, the name of a bundled data set "
            f"({', '.join(BUNDLED)}) or a frame (polars, pandas, pyarrow) is expected"
        ) from None
    try:
        return frame.to_polars()
    except ImportError:  # pandas without pyarrow
        return pl.DataFrame({c: pl.Series(c, frame[c].to_list(), strict=False) for c in frame.columns})
