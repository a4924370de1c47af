import datetime as dt

import numpy as np
import polars as pl
import pytest

from lamina.data.cells import MISSING, as_text, date_parts, numbers, parse_dates, truths, typed
from lamina.errors import LaminaError


def test_text_is_stripped_and_marks_are_missing():
    assert as_text(pl.Series([" a ", *MISSING, "none", None])).to_list() == [
        "a",
        *[None] * len(MISSING),
        "none",
        None,
    ]


def test_whole_floats_read_like_integers():
    assert as_text(pl.Series([2.0, -3.0, 2.5, None, float("nan"), 1e300])).to_list()[:5] == [
        "2",
        "-3",
        "2.5",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", " 2", "?"], pl.Int64, [1, 2, None]),
        (["1", "2.5", "NA"], pl.Float64, [1.0, 2.5, None]),
        (["1e3", "-.5"], pl.Float64, [1000.0, -0.5]),
        (["99999999999999999999", "1"], pl.Float64, [1e20, 1.0]),
        (["True", "false", ""], pl.Boolean, [True, False, None]),
        (["a", "1"], pl.String, ["a", "1"]),
        (["?", ""], pl.String, [None, None]),
        (["2024-02-29", "N/A"], pl.Datetime("us"), [dt.datetime(2024, 2, 29), None]),
        (["2023-02-29", "2023-02-28"], pl.String, ["2023-02-29", "2023-02-28"]),
    ],
)
def test_columns_of_text_become_what_every_cell_is(cells, dtype, values):
    series = typed(pl.Series("x", cells))
    assert series.dtype == dtype
    assert series.to_list() == values


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2024-12-31", dt.datetime(2024, 12, 31)),
        ("2024/1/3", dt.datetime(2024, 1, 3)),
        ("2024-12-31 23:59", dt.datetime(2024, 12, 31, 23, 59)),
        ("2024-12-31T23:59:58", dt.datetime(2024, 12, 31, 23, 59, 58)),
        ("2024-12-31T23:59:58.5", dt.datetime(2024, 12, 31, 23, 59, 58, 500_000)),
        ("2024-12-31T23:59:58Z", dt.datetime(2024, 12, 31, 23, 59, 58)),
        ("2024-12-31T23:59:58+02:00", dt.datetime(2024, 12, 31, 21, 59, 58)),
        ("2024-12-31T01:00-0330", dt.datetime(2024, 12, 31, 4, 30)),
    ],
)
def test_iso_dates_are_read_in_utc_beside_others(cell, moment):
    values, strangers = parse_dates(pl.Series([cell, "2000-01-01", "soon"]))
    assert values.to_list() == [moment, dt.datetime(2000, 1, 1), None]
    assert strangers.to_list() == ["soon"]


def test_numbers_of_any_type_are_float64_with_nan_for_the_missing_and_the_infinite():
    np.testing.assert_array_equal(numbers(pl.Series([1, None, 3])), [1, np.nan, 3])
    np.testing.assert_array_equal(numbers(pl.Series([True, False, None])), [1, 0, np.nan])
    np.testing.assert_array_equal(numbers(pl.Series([1.5, np.inf, -np.inf, np.nan])), [1.5] + [np.nan] * 3)
    np.testing.assert_array_equal(numbers(pl.Series(["7", "?", "x"]), words=("x",)), [7, np.nan, np.nan])
    np.testing.assert_array_equal(numbers(pl.Series([dt.timedelta(minutes=2)])), [120])
    np.testing.assert_array_equal(numbers(pl.Series([dt.time(1, 0, 1)])), [3601])


def test_what_is_no_number_is_refused_with_column_and_example():
    with pytest.raises(LaminaError, match=r"^column 'age' holds 'old'; numbers are expected in it$"):
        numbers(pl.Series("age", ["12", "old"]))
    with pytest.raises(LaminaError, match=r"^column 'age' is of type Date; numbers are expected in it$"):
        numbers(pl.Series("age", [dt.date(2020, 1, 1)]))
    with pytest.raises(LaminaError, match=r"^column 'age' is of type List\(Int64\); numbers are expected in it$"):
        numbers(pl.Series("age", [[1]]))


def test_truths():
    np.testing.assert_array_equal(truths(pl.Series(["TRUE", "false", "1", None])), [1, 0, 1, np.nan])
    np.testing.assert_array_equal(truths(pl.Series([1.0, 0.0])), [1, 0])
    with pytest.raises(LaminaError, match=r"^column 'b' holds 'maybe'; true or false are expected in it$"):
        truths(pl.Series("b", ["true", "maybe"]))


def test_the_parts_of_a_date():
    parts = date_parts(pl.Series(["2024-02-29 06:00:30", None]))
    assert {name: x[0] for name, x in parts.items()} == {
        "elapsed": pytest.approx(19782 + 6 / 24 + 30 / 86400, abs=1e-9),
        "year": 2024,
        "month": 2,
        "day": 29,
        "weekday": 4,
        "second": 6 * 3600 + 30,
    }
    assert all(np.isnan(x[1]) for x in parts.values())
    with pytest.raises(LaminaError, match=r"^column 'd' holds 'soon'; dates \(like 2024-12-31\) are expected"):
        date_parts(pl.Series("d", ["soon"]))
    with pytest.raises(LaminaError, match=r"^column 'd' is of type Int64; dates are expected in it$"):
        date_parts(pl.Series("d", [3]))


def test_zones_are_converted():
    noon = pl.Series([dt.datetime(2024, 7, 1, 12)]).dt.replace_time_zone("Europe/Berlin")
    assert date_parts(noon)["second"][0] == 10 * 3600
