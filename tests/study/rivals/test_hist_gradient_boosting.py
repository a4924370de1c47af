import inspect

import numpy as np
import polars as pl
import pytest
from folds import accuracy, explained, fold_of, loss, mixed, without_a_class
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from lamina.study.rivals.hist_gradient_boosting import MAX_CODES, RIVAL

(DEFAULT,) = RIVAL.settings(1)


@pytest.mark.parametrize("model", [HistGradientBoostingClassifier, HistGradientBoostingRegressor])
def test_the_first_setting_is_scikit_learns_default(model):
    known = inspect.signature(model).parameters
    assert {name: known[name].default for name in DEFAULT} == DEFAULT


def test_settings_are_distinct_and_within_their_ranges():
    settings = RIVAL.settings(32)
    assert settings[0] == DEFAULT
    assert len({tuple(s.values()) for s in settings}) == 32
    ranges = {
        "learning_rate": (0.02, 0.3),
        "max_leaf_nodes": (7, 63),
        "l2_regularization": (1e-3, 10),
        "min_samples_leaf": (5, 40),
    }
    for name, (low, high) in ranges.items():
        values = [s[name] for s in settings[1:]]
        assert low <= min(values) < max(values) <= high
    assert RIVAL.settings(8) == settings[:8]


def test_categories_and_gaps_are_used():
    fold = mixed()
    assert accuracy(fold, RIVAL.fit(fold, DEFAULT, 0, 1000)) > 0.75
    fold = mixed(values=True)
    assert explained(fold, RIVAL.fit(fold, DEFAULT, 0, 1000)) > 0.6


def test_the_validation_part_stops_the_boosting():
    fold = fold_of("diabetes")
    rows, held = fold.inner[1]
    x, y = fold.raw[0], fold.task.y
    endless = HistGradientBoostingRegressor(**DEFAULT, max_iter=500, early_stopping=False).fit(x[rows], y[rows])
    stopped = loss(fold, RIVAL.fit(fold, DEFAULT, 1, 1000), seed=1)
    assert stopped < fold.head.loss(y[held], endless.predict(x[held]))


def test_more_categories_than_bins_are_taken_as_ordered_numbers():
    codes = np.tile(np.arange(MAX_CODES + 50), 10)
    kinds = [f"k{code:03d}" for code in codes]
    fold = fold_of(pl.DataFrame({"kind": kinds, "flag": ["a", "b"] * (len(codes) // 2), "y": codes / 100}), "y")
    assert np.nanmax(fold.raw[0]) > MAX_CODES
    assert explained(fold, RIVAL.fit(fold, DEFAULT, 0, 1000)) > 0.99


def test_a_class_that_was_not_seen_has_probability_0():
    fold = without_a_class()
    found = RIVAL.fit(fold, DEFAULT, 0, 1000)(fold.split.test)
    assert found.shape == (30, 3)
    assert not found[:, 1].any()
    np.testing.assert_allclose(found.sum(1), 1)
