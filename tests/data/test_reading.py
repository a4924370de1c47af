import gzip
import re

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from lamina.data.reading import read_table
from lamina.errors import LaminaError

FRAME = pl.DataFrame({"a": [1, 2, None], "b": ["x", None, "y"], "c": [0.5, 1.0, 2.0]})


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(source, message):
    with pytest.raises(LaminaError) as caught:
        read_table(source)
    text = str(caught.value)
    assert "\n" not in text
    assert re.search(message, text), text


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "parquet", "arrow", "feather", "ipc", "TSV", "csv.GZ"])
def test_every_format_gives_the_same_table(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    if suffix.lower() == "csv.gz":
        path.write_bytes(gzip.compress(FRAME.write_csv().encode()))
    elif suffix == "parquet":
        FRAME.write_parquet(path)
    elif suffix in ("arrow", "feather", "ipc"):
        FRAME.write_ipc(path)
    else:
        FRAME.write_csv(path, separator="\t" if suffix.lower() == "tsv" else ",")
    assert_frame_equal(read_table(path), FRAME)
    assert_frame_equal(read_table(str(path)), FRAME)


@pytest.mark.parametrize(
    "frame",
    [FRAME, FRAME.lazy(), FRAME.to_pandas(), FRAME.to_arrow()],
    ids=["polars", "lazy", "pandas", "arrow"],
)
def test_every_kind_of_frame_gives_the_same_table(frame):
    assert_frame_equal(read_table(frame), FRAME, check_dtypes=False)


def test_pandas_columns_of_mixed_types_and_numbered_columns():
    frame = pd.DataFrame({0: [1, "x", None, float("nan")], "n": pd.array([1, None, 3, 4], dtype="Int64")})
    read = read_table(frame)
    assert read.columns == ["0", "n"]
    assert read["0"].to_list() == ["1", "x", None, None]
    assert read["n"].to_list() == [1, None, 3, 4]


def test_frames_without_rows_are_tables_for_a_prediction():
    assert read_table(pl.DataFrame({"a": []})).shape == (0, 1)


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("a;b\n1;x,y\n", {"a": [1], "b": ["x,y"]}),
        ("a,b\n 1, x\n 2, ?\n", {"a": [1, 2], "b": ["x", None]}),
        ("a , b\n1,2\n", {"a": [1], "b": [2]}),
        ('a,b\n1,"x\ny"\n', {"a": [1], "b": ["x\ny"]}),
        ("\ufeffa,b\n1,2\n", {"a": [1], "b": [2]}),
        ("a,b\n1,2\n\n3,4\n\n", {"a": [1, 3], "b": [2, 4]}),
        ("a,b\r\n1,2\r\n", {"a": [1], "b": [2]}),
        ("a,b\n1,caf\xe9\n".encode("latin-1"), {"a": [1], "b": ["café"]}),
        ("a,b\n1,é\n".encode("utf-16"), {"a": [1], "b": ["é"]}),
        ("a\n1\n2\n", {"a": [1, 2]}),
    ],
)
def test_the_dialects_of_csv(tmp_path, content, columns):
    assert read_table(write(tmp_path / "t.csv", content)).to_dict(as_series=False) == columns


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "house.csv", "a,b\n1,2\n")
    write(tmp_path / "notes.md", "")
    refused(
        tmp_path / "hause.csv",
        r"^no file '.*hause\.csv' and no .*data set of that name; the closest are: house",
    )
    refused("brest-cancer", r"^no file 'brest-cancer' .* closest are: breast-cancer, ")
    refused(tmp_path / "no" / "x.csv", r"^no file '.*x\.csv': there is no folder '.*no'$")
    refused(tmp_path, r"is a folder; a file \(\.csv, ")
    refused(write(tmp_path / "t.xlsx", "x"), r"t\.xlsx' is none of the kinds of file that are read: \.csv, ")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.arrow", "t.csv.gz"])
def test_an_empty_file(tmp_path, name):
    refused(write(tmp_path / name, ""), rf"{name}' is empty; a table with a header and rows is expected$")


def test_a_table_without_rows(tmp_path):
    refused(write(tmp_path / "t.csv", "\n\n"), r"t\.csv' is empty; ")
    refused(write(tmp_path / "t.csv", "a,b\n"), r"t\.csv' has a header but no rows$")
    FRAME.head(0).write_parquet(tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", r"t\.parquet' has a header but no rows$")


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.csv.gz"])
def test_a_file_that_is_not_what_it_is_called(tmp_path, name):
    refused(write(tmp_path / name, "hello, this is text\n" * 10), rf"{re.escape(name)}' cannot be read as ")


def test_damaged_files(tmp_path):
    whole = gzip.compress(bytes(str(list(range(5000))), "ascii"))
    refused(write(tmp_path / "cut.csv.gz", whole[:2000]), r"cut\.csv\.gz' cannot be read as gz: ")
    FRAME.write_parquet(tmp_path / "t.parquet")
    renamed = write(tmp_path / "t.csv", (tmp_path / "t.parquet").read_bytes())
    refused(renamed, r"t\.csv' cannot be read as text")


@pytest.mark.parametrize(("rows", "line", "found"), [("1,2\n1,2,3\n", 3, 3), ("1,2\n1\n3,4\n", 3, 1)])
def test_ragged_rows(tmp_path, rows, line, found):
    path = write(tmp_path / "t.csv", "a,b\n" + rows)
    refused(path, rf"t\.csv', line {line}: expected 2 cells, as the header has, and found {found}$")


def test_what_is_no_table():
    refused(3, r"^a value of type int is no table; a path, the name of a bundled data set \(breast-cancer, ")
    refused(pd.DataFrame([[1, 2]], columns=["a", "a"]), r"^the frame cannot be read: Expected unique column names")
    assert read_table(pa.table({"a": [1]})).shape == (1, 1)
