import datetime as dt
import json

import numpy as np
import polars as pl
import pytest

from lamina.data.schema import Column, infer_schema


def column(values, name="x", dtype=None):
    (found,) = infer_schema(pl.DataFrame({name: pl.Series(values, dtype=dtype, strict=False)})).columns
    return found


@pytest.mark.parametrize(
    ("values", "kind", "treatment"),
    [
        ([1.5, 2.5, 3.5], "number", "number"),
        ([0, 1, 0, 1], "number", "number"),
        ([1, None, 3], "number", "number; missing in 1 row, filled with the median and marked"),
        (
            [1.0, float("inf"), 3.0, None],
            "number",
            "number; missing in 2 rows, filled with the median and marked; infinite in 1 row, which counts as missing",
        ),
        (["1", "2", "?"], "number", "number; missing in 1 row, filled with the median and marked"),
        ([True, False, None], "boolean", "true or false; missing in 1 row, marked"),
        (["true", "FALSE"], "boolean", "true or false"),
        (["a", "b", "a"], "category", "category of 2 values"),
        (["a", None], "category", "category of 1 value; missing in 1 row, a case of its own"),
        (
            ["2024-01-01", "2024-05-01"],
            "date",
            "date: elapsed time, year, month, day, weekday and time of day as numbers",
        ),
        ([5, 5, 5], "constant", "left out: every cell is 5"),
        (["a", "a"], "constant", "left out: every cell is a"),
        ([None, None], "empty", "left out: every cell is missing"),
        (["?", "NA"], "empty", "left out: every cell is missing"),
        ([float("nan"), float("inf")], "empty", "left out: every cell is missing"),
        ([[1], [2]], "text", "left out: its cells are of type List(Int64)"),
        ([f"a{i}" for i in range(30)], "id", "left out: an id, 30 distinct values in 30 rows"),
        ([f"a {i // 2}" for i in range(30)], "text", "left out: free text, 15 distinct values in 30 rows"),
        (list(range(7, 37)), "id", "left out: an id, it counts the rows"),
        (
            [i * i for i in range(30)],
            "id",
            "left out: an id, it is distinct in every row and changes in one direction only",
        ),
    ],
)
def test_each_kind_of_column_and_what_is_said_of_it(values, kind, treatment):
    found = column(values)
    assert (found.kind, found.treatment) == (kind, treatment)
    assert found.used == (kind in ("number", "category", "boolean", "date"))


def test_categories_and_missing_cells_are_kept():
    found = column(["b", "a", None, " a", "?"])
    assert found == Column("x", "category", True, found.treatment, ("a", "b"), 2)
    assert column([True, None]).categories == ("false", "true")


@pytest.mark.parametrize(("rows", "kind"), [(10, "category"), (54, "text"), (55, "category")])
def test_text_is_a_category_if_its_values_are_few_for_the_rows(rows, kind):
    distinct = 11 if rows > 10 else 10
    assert column([f"v {i % distinct}" for i in range(rows)]).kind == kind


def test_more_than_a_thousand_values_are_text():
    assert column([f"v {i % 1000}" for i in range(5000)]).kind == "category"
    assert column([f"v {i % 1001}" for i in range(5005)]).kind == "text"


def test_shuffled_integers_are_an_id_only_without_gaps_or_by_name():
    rng = np.random.default_rng(0)
    distinct = rng.choice(10_000, size=100, replace=False)
    assert column(distinct).kind == "number"
    assert column(rng.permutation(100)).kind == "id"
    for name in ("id", "customer_id", "CustomerId", "userID", "row key", "PhoneNumber"):
        assert column(distinct, name).treatment == "left out: an id, it is distinct in every row and named like an id"
    for name in ("humid", "paid", "monkey", "casino"):
        assert column(distinct, name).kind == "number"


def test_measurements_and_repeated_integers_are_never_ids():
    assert column(np.arange(100) + 0.5).kind == "number"
    assert column(np.arange(100.0), "id").kind == "number"
    assert column([1, *range(1, 100)], "id").kind == "number"


def test_numbers_with_a_few_words():
    cells = [str(i * 1.5) for i in range(40)] + ["unknown", "n.d.", "?"]
    found = column(cells)
    assert (found.kind, found.words, found.missing) == ("number", ("n.d.", "unknown"), 3)
    assert found.treatment.endswith("; the words 'n.d.', 'unknown' count as missing")
    assert column([*cells, "low", "high"]).kind == "id"
    assert column(["1", "2", "3+", "1", "2"]).kind == "category"


def test_what_is_declared_a_category_is_one():
    assert column(["1", "2", "3"] * 10, dtype=pl.Categorical).categories == ("1", "2", "3")
    assert column(["1", "2"], dtype=pl.Enum(["1", "2"])).kind == "category"


def test_dates_are_dates_in_any_type():
    assert column([dt.date(2020, 1, 1), dt.date(2020, 1, 2)]).kind == "date"
    assert column([dt.datetime(2020, 1, 1, 2), None]).missing == 1
    assert column([dt.timedelta(hours=1), dt.timedelta(hours=2)]).kind == "number"


def test_columns_survive_json():
    for found in (column(["1", "2", "x", *map(str, range(20))]), column(["a", "b"]), column([None])):
        assert Column.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_sentence_about_what_is_left_out():
    frame = pl.DataFrame({"a": [1, 2], "b": [3, 3], "c": pl.Series([None, None], dtype=pl.String)})
    schema = infer_schema(frame)
    assert [c.name for c in schema.used] == ["a"]
    assert schema.left_out == "columns left out: 'b' (every cell is 3), 'c' (every cell is missing)"
    assert infer_schema(frame.select("a")).left_out == ""
    many = infer_schema(pl.DataFrame({f"c{i}": [0, 0] for i in range(12)}))
    assert many.left_out.endswith("'c9' (every cell is 0) and 2 more")
