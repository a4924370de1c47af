import warnings

import numpy as np
import pytest
from folds import explained, fold_of, mixed, without_a_class
from sklearn.linear_model import LogisticRegression, Ridge

from lamina.study.rivals.linear import RIVAL


@pytest.mark.parametrize("seed", [0, 1])
def test_classes_are_predicted_as_by_logistic_regression(seed):
    fold = fold_of("iris")
    rows = fold.inner[seed][0]
    found = RIVAL.fit(fold, {"C": 0.1}, seed, 1000)(fold.split.test)
    expected = LogisticRegression(C=0.1, max_iter=500).fit(fold.dense[rows], fold.task.y[rows])
    np.testing.assert_allclose(found, expected.predict_proba(fold.dense[fold.split.test]), rtol=1e-6)


def test_values_are_those_of_ridge_regression_in_closed_form():
    fold = fold_of("diabetes")
    rows = fold.inner[0][0]
    x, y = fold.dense[rows].astype(float), fold.task.y[rows]
    centred = x - x.mean(0)
    weights = np.linalg.solve(centred.T @ centred + 1 / 0.02 * np.eye(x.shape[1]), centred.T @ (y - y.mean()))
    expected = (fold.dense[fold.split.test] - x.mean(0)) @ weights + y.mean()
    np.testing.assert_allclose(RIVAL.fit(fold, {"C": 0.02}, 0, 1000)(fold.split.test), expected, rtol=1e-4)


def test_a_weak_penalty_gives_no_warning():
    fold = fold_of("wine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RIVAL.fit(fold, {"C": 1e3}, 0, 1000)


def test_categories_and_gaps_are_used():
    fold = mixed(values=True)
    assert explained(fold, RIVAL.fit(fold, {"C": 1.0}, 0, 1000)) > 0.6


def test_a_class_that_was_not_seen_has_probability_0():
    fold = without_a_class()
    found = RIVAL.fit(fold, {"C": 1.0}, 0, 1000)(fold.split.test)
    assert found.shape == (30, 3)
    assert not found[:, 1].any()
    np.testing.assert_allclose(found.sum(1), 1)


@pytest.mark.parametrize("n", [1, 2, 8, 20])
def test_settings_begin_with_the_default_and_span_the_range(n):
    strengths = [setting["C"] for setting in RIVAL.settings(n)]
    assert strengths[0] == LogisticRegression().C == 1 / Ridge().alpha
    assert len(set(strengths)) == len(strengths) == n
    assert n < 3 or (min(strengths), max(strengths)) == (1e-3, 1e3)
