import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from lamina import NetworkRegressor

X, Y = load_diabetes(return_X_y=True)
SHORT = {"steps": 40, "params": 2000, "learning_rate": 4e-3, "random_state": 0}


@parametrize_with_checks([NetworkRegressor(steps=100, members=2, params=2000)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_diabetes_is_predicted_better_than_by_the_mean():
    scores = cross_val_score(NetworkRegressor(steps=150, random_state=0), X, Y, cv=3)
    assert scores.mean() > 0.35


def test_a_weight_of_two_is_a_row_that_stands_twice():
    weight = np.random.default_rng(0).integers(0, 3, len(Y))
    weighted = NetworkRegressor(**SHORT).fit(X, Y, sample_weight=weight)
    repeated = NetworkRegressor(**SHORT).fit(X.repeat(weight, axis=0), Y.repeat(weight))
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_weights_pull_the_predictions():
    y = np.where(np.arange(60) % 2, 1.0, 0.0)
    constant = np.random.default_rng(0).normal(size=(60, 1))
    weight = np.where(y == 1, 3.0, 1.0)
    estimator = NetworkRegressor(early_stopping=False, weight_decay=100.0, steps=300, random_state=0)
    assert estimator.fit(constant, y).predict(constant).mean() == pytest.approx(0.5, abs=0.1)
    assert estimator.fit(constant, y, sample_weight=weight).predict(constant).mean() == pytest.approx(0.75, abs=0.1)


def test_scale_and_unit_of_the_target_do_not_matter():
    a = NetworkRegressor(**SHORT).fit(X, Y).predict(X)
    b = NetworkRegressor(**SHORT).fit(X, 1e6 * Y - 3e8).predict(X)
    np.testing.assert_allclose(1e6 * a - 3e8, b, rtol=1e-2)


def test_sparse_is_dense():
    few = np.where(np.abs(X) > 0.05, X, 0.0)
    dense = NetworkRegressor(**SHORT).fit(few, Y).predict(few)
    for kind in (sparse.csr_array, sparse.csc_matrix):
        np.testing.assert_array_equal(NetworkRegressor(**SHORT).fit(kind(few), Y).predict(kind(few)), dense)


def test_partial_fit_learns_and_its_predictions_keep_to_the_targets_seen():
    estimator = NetworkRegressor(**SHORT)
    low, high = np.argsort(Y)[:200], np.argsort(Y)[200:]
    estimator.partial_fit(X[low], Y[low])
    assert estimator.predict(X).max() <= Y[low].max()
    scores = []
    for _ in range(8):
        for part in (low, high):
            estimator.partial_fit(X[part], Y[part])
        scores.append(NetworkRegressor.score(estimator, X, Y))
    assert estimator.head_.high == Y.max()
    estimator = NetworkRegressor(**SHORT)
    scores = [estimator.partial_fit(X, Y).score(X, Y) for _ in range(15)]
    assert scores[-1] > scores[0]
    assert scores[-1] > 0.4


def test_values_are_predicted_one_for_a_row():
    with pytest.raises(ValueError, match="y should be a 1d array, got an array of shape \\(442, 2\\)"):
        NetworkRegressor().fit(X, np.column_stack([Y, Y]))
