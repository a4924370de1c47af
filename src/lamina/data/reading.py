"""Reading tables: files, bundled data sets and frames of any library, all into one polars frame."""

from __future__ import annotations

import codecs
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
from lamina.data.feynman import PREFIX, Formula, feynman
from lamina.errors import LaminaError, closest

__all__ = ["BUNDLED", "FORMATS", "Bundled", "read_table"]

FORMATS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".arrow", ".feather", ".ipc")


def read_table(source: Any) -> pl.DataFrame:
    """The table that `source` names or is.

    Args:
        source: the path of a file (one of `FORMATS`), the name of a bundled data set (`BUNDLED`), a formula of
            physics (``feynman:I.6.2a``, see `lamina.data.feynman`), or a frame (polars, pandas, pyarrow, anything
            narwhals knows).

    Returns:
        The table. Text of CSV files has become numbers, truth values and ISO dates in the columns where every
        cell can be read so; marks like ``?`` and ``NA`` have become missing.

    Raises:
        LaminaError: there is no such file or data set, or it holds no table or no rows.
    """
    if known := named(source):
        return known.load()
    if isinstance(source, (str, Path)):
        return _read_file(Path(source))
    return _from_frame(source)


def named(source: Any) -> Bundled | Formula | None:
    """The bundled data set or the formula that `source` is the name of, if it is one."""
    if not isinstance(source, str):
        return None
    return feynman(source.removeprefix(PREFIX)) if source.startswith(PREFIX) else BUNDLED.get(source)


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
            frame = _read_text(path, "\t" if name.endswith((".tsv", ".tsv.gz")) else None)
        else:
            frame = pl.read_ipc(path)
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
    raw = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    text = _decode(raw)
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
    if frame.width > 1:
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
    stripped = [name.strip() for name in frame.columns]
    frame.columns = stripped if len(set(stripped)) == len(stripped) else frame.columns
    return frame.select(typed(column) for column in frame)


def _decode(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _separator(text: str) -> str:
    header = re.sub(r'"[^"]*"', "", text.split("\n", 1)[0])
    return max(",;\t|", key=header.count)


def _refuse_ragged(path: Path, text: str, separator: str) -> None:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    width = len(next(rows))
    for row in rows:
        if row and len(row) != width:
            line = f"{str(path)!r}, line {rows.line_num}"
            raise LaminaError(f"{line}: expected {width} cells, as the header has, and found {len(row)}")


def _from_frame(source: Any) -> pl.DataFrame:
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    try:
        frame = nw.from_native(source, eager_only=True)
    except nw.exceptions.NarwhalsError as error:
        raise LaminaError(f"the frame cannot be read: {' '.join(str(error).split())}") from error
    except TypeError:
        raise LaminaError(
            f"a value of type {type(source).__name__} is no table; a path, the name of a bundled data set "
            f"({', '.join(BUNDLED)}) or a frame (polars, pandas, pyarrow) is expected"
        ) from None
    return pl.DataFrame([_from_series(series) for series in frame.iter_columns()])


def _from_series(series: nw.Series[Any]) -> pl.Series:
    try:
        return series.to_polars().alias(str(series.name))
    except (ImportError, TypeError, ValueError):  # a column of mixed types, or pandas without pyarrow
        return _mixed(str(series.name), series.to_list())


def _mixed(name: str, cells: list[Any]) -> pl.Series:
    cells = [None if cell is None or cell != cell else cell for cell in map(_plain, cells)]
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) > 1 and not kinds <= {int, float}:
        cells = [None if cell is None else str(cell) for cell in cells]
    return pl.Series(name, cells, strict=False)


def _plain(cell: Any) -> Any:
    """Pandas' own mark for a missing value is equal to nothing and has no truth value."""
    return None if type(cell).__name__ in ("NAType", "NaTType") else cell
