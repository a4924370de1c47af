"""What scikit-learn hands to an estimator, as what Lamina learns from."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from lamina.data.reading import read_table
from lamina.data.schema import Column, Schema, infer_schema
from lamina.errors import LaminaError


def as_frame(estimator: BaseEstimator, X: Any, *, reset: bool) -> pl.DataFrame:
    """The features as a frame whose columns have the names seen in `fit`, or ``x0``, ``x1`` ... if there were none.

    Args:
        estimator: notes the names and the number of the columns.
        X: a frame of any kind with any columns, or an array, a sparse matrix or nested lists of numbers.
        reset: whether the columns are noted, or compared with those that were.

    Raises:
        ValueError: the columns are not those of `fit` (missing ones are named), or an array is no matrix of numbers.
    """
    if nw.dependencies.is_into_dataframe(X):
        X = validate_data(estimator, X, reset=reset, skip_check_array=True)
        frame = read_table(X)
        if not frame.height:
            raise LaminaError(f"X has 0 rows and {frame.width} columns; at least 1 row is expected")
    else:
        kinds = {"dtype": (np.float64, np.float32), "accept_sparse": "csr", "ensure_all_finite": False}
        X = validate_data(estimator, X, reset=reset, **kinds)
        frame = pl.DataFrame(X.toarray() if issparse(X) else X)
    frame.columns = list(getattr(estimator, "feature_names_in_", [f"x{i}" for i in range(frame.width)]))
    return frame


def schema_of(X: Any, frame: pl.DataFrame) -> Schema:
    """What the columns are: inferred for a frame; every column of an array is a number, ids and constants included."""
    if nw.dependencies.is_into_dataframe(X):
        return infer_schema(frame)
    return Schema(tuple(Column(name, "number", True, "number") for name in frame.columns))


def read(
    estimator: BaseEstimator, X: Any, y: Any, sample_weight: Any, *, reset: bool, dtype: type | None = None
) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """The features, the target and the weights of the rows whose weight is above zero.

    Args:
        estimator, X, reset: as for `as_frame`.
        y: (rows,) the target.
        sample_weight: (rows,) or None for ones.
        dtype: of the target; None for its own.

    Raises:
        ValueError: as in `as_frame`; the target is lacking, has several columns, or a missing or infinite value; the
            numbers of rows differ; a weight is negative or not finite, or all are zero.
    """
    frame = as_frame(estimator, X, reset=reset)
    if y is None:
        raise LaminaError("fit requires y to be passed, but the target y is None")
    y = column_or_1d(y, dtype=dtype, warn=True)
    if y.dtype == object and any(cell is None for cell in y):
        raise LaminaError("y holds a missing value; leave out the rows without a target")
    assert_all_finite(y, input_name="y")
    check_consistent_length(frame, y)
    weight = _check_sample_weight(sample_weight, y, dtype=np.float64, ensure_non_negative=True)
    present = weight > 0
    if not present.any():
        raise LaminaError("sample_weight is zero for every row; at least one has to be above zero")
    return frame.filter(present), y[present], weight[present]
