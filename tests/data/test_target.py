import json

import numpy as np
import polars as pl
import pytest

from lamina.data.target import Target, infer_target, looks_like_a_score
from lamina.errors import LaminaError


def repeated(counts):
    return [value for value, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["no", "yes", "no", "yes"], "binary", ("no", "yes")),
        (["c", "a", "b"] * 3, "multiclass", ("a", "b", "c")),
        ([True, False] * 3, "binary", (False, True)),
        ([0, 1, 1, 0], "binary", (0, 1)),
        ([2.0, 1.0] * 3, "binary", (1, 2)),
        ([0.5, 1.5] * 3, "binary", (0.5, 1.5)),
        (list(range(10)) * 10, "multiclass", tuple(range(10))),
        ([1.0, 2.0, 3.0, None] * 10, "multiclass", (1, 2, 3)),
        ([1.5, 2.0, 3.0] * 10, "regression", ()),
        (list(range(21)) * 50, "regression", ()),
        ([1, 2, 3] * 4, "regression", ()),
        (repeated({3: 30, 4: 216, 5: 2138, 6: 2836, 7: 1079, 8: 193, 9: 5}), "regression", ()),
        (repeated({1: 629, 2: 333, 3: 511}), "multiclass", (1, 2, 3)),
        (repeated({1: 70, 2: 76, 3: 17, 5: 13, 6: 9, 7: 29}), "multiclass", (1, 2, 3, 5, 6, 7)),
        ([str(i / 2) for i in range(30)] + ["unknown"], "regression", ()),
    ],
)
def test_the_kind_is_found_in_the_values(values, kind, classes):
    target = infer_target(pl.Series("y", values))
    assert (target.kind, target.classes) == (kind, classes)
    assert [type(c) for c in target.classes] == [type(c) for c in classes]
    assert target.outputs == (len(classes) or 1)


def test_a_score_has_one_inner_peak():
    assert looks_like_a_score(pl.Series("y", repeated({1: 10, 2: 40, 3: 90, 4: 80, 5: 30, 6: 5})))
    assert not looks_like_a_score(pl.Series("y", repeated({1: 10, 2: 40, 3: 90, 4: 30, 5: 5})))
    assert not looks_like_a_score(pl.Series("y", repeated({1: 90, 2: 80, 3: 60, 4: 40, 5: 20, 6: 5})))
    assert not looks_like_a_score(pl.Series("y", repeated({1: 10, 2: 90, 3: 20, 4: 80, 5: 30, 6: 5})))
    assert not looks_like_a_score(pl.Series("y", list(range(10)) * 100))


def test_the_user_may_know_better():
    score = pl.Series("y", repeated({1: 10, 2: 40, 3: 90, 4: 80, 5: 30, 6: 5}))
    assert infer_target(score, task="multiclass").classes == (1, 2, 3, 4, 5, 6)
    assert infer_target(pl.Series("y", [0, 1] * 3), task="regression").kind == "regression"
    assert infer_target(pl.Series("y", ["1", "2", "3"]), task="regression").kind == "regression"
    assert infer_target(pl.Series("y", [str(i) for i in range(12)] * 2, dtype=pl.Categorical)).outputs == 12


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([7, 7, 7], None, r"^target 'y' is constant: it is '7' in every row; choose another column$"),
        (["a", "a", None], None, r"^target 'y' is constant: it is 'a' in every row; choose another column$"),
        ([None, None], None, r"^target 'y': every value is missing; choose another column$"),
        (["?", ""], None, r"^target 'y': every value is missing; choose another column$"),
        (
            ["a", "a", "b", "c", "c", "d"],
            None,
            r"^target 'y': the classes 'b', 'd' each have a single row, which cannot be in training and in "
            r"test at once; leave it out, join the class with another, or give the task 'regression' if the "
            r"target is a quantity$",
        ),
        ([0, 0, 0, 1], None, r"^target 'y': the class 1 has a single row"),
        (["a", "b"] * 2, "regression", r"^target 'y' holds 'a'; a regression needs numbers$"),
        (["a", "b", "c"] * 2, "binary", r"^target 'y' has 3 classes; a binary task has two$"),
        (["a", "b"] * 2, "regresion", r"^task 'regresion' is not known; the closest are: regression, "),
        ([[1], [2]], None, r"^target 'y' is of type List\(Int64\); text or numbers are expected$"),
    ],
)
def test_a_target_that_cannot_be_learnt(values, task, message):
    with pytest.raises(LaminaError, match=message):
        infer_target(pl.Series("y", values), task=task)


@pytest.mark.parametrize(
    "values", [["b", "a", "a", "b"], [True, False, False, True], [5, -1, -1, 5], [0.5, 1.5, 0.5, 1.5]]
)
def test_codes_come_back_as_the_original_labels(values):
    series = pl.Series("y", values)
    target = infer_target(series)
    codes = target.encode(series)
    assert codes.dtype == np.int64
    assert codes.tolist() == [sorted(set(values)).index(v) for v in values]
    assert target.decode(codes).tolist() == values
    stored = Target.from_dict(json.loads(json.dumps(target.to_dict())))
    assert stored == target
    assert stored.decode(np.array([1, 0])).tolist() == sorted(set(values))[::-1]


def test_labels_may_come_in_another_type():
    target = infer_target(pl.Series("y", [1, 2] * 3))
    assert target.encode(pl.Series([2.0, 1.0])).tolist() == [1, 0]
    assert target.encode(pl.Series(["2", " 1"])).tolist() == [1, 0]


def test_values_of_a_regression_are_kept():
    target = Target("y", "regression")
    assert target.encode(pl.Series([1, 3])).tolist() == [1.0, 3.0]
    assert target.decode(np.array([1.5])).tolist() == [1.5]


@pytest.mark.parametrize(
    ("target", "values", "message"),
    [
        (Target("y", "binary", ("a", "b")), ["a", "z"], r"^target 'y' holds 'z'; expected one of 'a', 'b'$"),
        (
            Target("y", "binary", ("a", "b")),
            ["a", None],
            r"^target 'y' holds a missing value; expected one of",
        ),
        (
            Target("y", "multiclass", tuple(range(9))),
            [11],
            r"holds 11.0; expected one of 0, 1, 2, 3, 4 and 4 more$",
        ),
        (Target("y", "regression"), ["1", "x"], r"^target 'y' holds 'x'; a number is expected in every row$"),
        (
            Target("y", "regression"),
            [1.0, np.inf],
            r"^target 'y' holds a missing or infinite value; a number",
        ),
    ],
)
def test_values_that_are_no_target(target, values, message):
    with pytest.raises(LaminaError, match=message):
        target.encode(pl.Series(values))
