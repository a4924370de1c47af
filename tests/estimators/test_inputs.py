import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from lamina.estimators import NetworkRegressor
from lamina.estimators.inputs import as_frame, read, schema_of

NUMBERS = [[1.0, 2.0], [3.0, np.nan], [5.0, np.inf]]


@pytest.mark.parametrize(
    "X", [NUMBERS, np.array(NUMBERS), sparse.csr_array(NUMBERS), sparse.coo_matrix(NUMBERS)], ids=type
)
def test_arrays_become_columns_of_numbers(X):
    estimator = NetworkRegressor()
    frame = as_frame(estimator, X, reset=True)
    assert frame.columns == ["x0", "x1"]
    np.testing.assert_array_equal(frame.to_numpy(), NUMBERS)
    assert estimator.n_features_in_ == 2
    assert not hasattr(estimator, "feature_names_in_")
    assert [column.kind for column in schema_of(X, frame).used] == ["number", "number"]


def test_every_column_of_an_array_is_used_and_a_frame_is_understood():
    X = np.column_stack([np.arange(30), np.ones(30), np.arange(30) % 7])
    frame = pl.DataFrame(X.astype(int), schema=["count", "one", "value"])
    assert len(schema_of(X, frame).used) == 3
    assert [column.name for column in schema_of(frame, frame).used] == ["value"]


def test_columns_are_named_as_in_fit_whatever_kind_of_table_comes():
    estimator = NetworkRegressor()
    as_frame(estimator, pd.DataFrame({"b": [1], "a": [2]}), reset=True)
    assert estimator.feature_names_in_.tolist() == ["b", "a"]
    assert as_frame(estimator, pl.DataFrame({"b": [1], "a": [2]}), reset=False).columns == ["b", "a"]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert as_frame(estimator, np.ones((1, 2)), reset=False).columns == ["b", "a"]
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- a"):
        as_frame(estimator, pl.DataFrame({"b": [1], "c": [2]}), reset=False)


def test_a_frame_with_numbers_for_names_is_taken_by_position():
    estimator = NetworkRegressor()
    assert as_frame(estimator, pd.DataFrame(NUMBERS), reset=True).columns == ["x0", "x1"]


def test_all_that_a_frame_can_hold_is_read():
    frame = pd.DataFrame(
        {
            "category": pd.Categorical(["u", "v", None] * 4),
            "nullable": pd.array([1, None, 3] * 4, dtype="Int64"),
            "truth": [True, False, None] * 4,
            "date": [datetime.date(2024, 1, day) for day in range(1, 13)],
            "mixed": [1, "a", None] * 4,
        }
    )
    found = {
        column.name: column.kind for column in schema_of(frame, as_frame(NetworkRegressor(), frame, reset=True)).used
    }
    assert found == {
        "category": "category",
        "nullable": "number",
        "truth": "boolean",
        "date": "date",
        "mixed": "category",
    }


def test_rows_of_weight_zero_are_left_out():
    frame, y, weight = read(NetworkRegressor(), [[1], [2], [3]], [1, 2, 3], [1, 0, 2], reset=True, dtype=np.float64)
    assert frame["x0"].to_list() == [1, 3]
    assert y.tolist() == [1, 3]
    assert weight.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("X", "y", "weight", "message"),
    [
        (pl.DataFrame({"a": []}), [], None, "X has 0 rows and 1 columns"),
        ([["a"]], [1.0], None, "could not convert string to float: 'a'"),
        ([[1]], None, None, "the target y is None"),
        ([[1], [2]], [1.0], None, r"inconsistent numbers of samples: \[2, 1\]"),
        ([[1], [2]], [1.0, np.nan], None, "Input y contains NaN"),
        ([[1], [2]], np.array(["a", None], dtype=object), None, "y holds a missing value"),
        ([[1], [2]], [[1, 2], [3, 4]], None, "y should be a 1d array"),
        ([[1], [2]], [1, 2], [1, -1], "Negative values"),
        ([[1], [2]], [1, 2], [0, 0], "zero"),
    ],
)
def test_bad_input_is_named(X, y, weight, message):
    with pytest.raises(ValueError, match=message):
        read(NetworkRegressor(), X, y, weight, reset=True)
