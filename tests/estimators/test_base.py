import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.nn import functional as F

from lamina import NetworkClassifier, NetworkRegressor
from lamina.catalog import STANDARD
from lamina.errors import LaminaError
from lamina.estimators.rows import gather

X, Y = make_regression(120, 5, n_informative=3, noise=5.0, random_state=0)
LABELS = np.where(Y > 0, "high", "low")
FRAME = pl.DataFrame(X, schema=[f"x{i}" for i in range(5)])
SHORT = {"steps": 40, "params": 2000, "learning_rate": 4e-3, "random_state": 0}


@pytest.mark.parametrize("network", STANDARD)  # the kit sees to the others
def test_every_network_for_tables_learns(network):
    classifier = NetworkClassifier(network, **SHORT | {"params": 5000, "members": 2}).fit(X, LABELS)
    assert classifier.score(X, LABELS) > 0.8
    regressor = NetworkRegressor(network, **SHORT | {"params": 5000, "members": 2}).fit(X, Y)
    assert regressor.score(X, Y) > 0.3


def test_the_budget_the_members_and_the_options_are_met():
    estimator = NetworkRegressor("mlp", params=3000, options={"depth": 3}, members=4, steps=5).fit(X, Y)
    assert estimator.fleet_.parameters.shape[0] == 4
    assert estimator.fleet_.parameters.shape[1] == pytest.approx(3000, rel=0.05)
    assert sum(isinstance(m, nn.Linear) for m in estimator.module_.modules()) == 4


def test_members_are_averaged_and_the_first_is_a_module():
    estimator = NetworkRegressor(**SHORT).fit(X, Y)
    x = torch.from_numpy(estimator.encoder_.transform(FRAME))
    outputs = torch.stack([estimator.fleet_.module(i)(x).squeeze(1) for i in range(3)])
    torch.testing.assert_close(estimator.module_(x).squeeze(1), outputs[0])
    values = outputs.detach().numpy() * Y.std() + Y.mean()
    expected = np.clip(values, Y.min(), Y.max()).mean(0)
    np.testing.assert_allclose(estimator.predict(X), expected, rtol=1e-3, atol=1e-2)
    assert next(estimator.module_.parameters()).dtype == torch.float32
    assert not estimator.module_.training


def test_early_stopping_returns_the_best_weights():
    estimator = NetworkClassifier(members=1, steps=400, learning_rate=0.05, params=5000, random_state=0).fit(X, LABELS)
    curve = estimator.validation_curve_
    best = int(np.argmin(curve))
    assert best < len(curve) - 1
    rows = gather(FRAME, (LABELS == "low").astype(int), np.ones(len(Y)))
    _, held = rows.split(estimator._seeds[0], "multiclass")
    logits = estimator.module_(torch.from_numpy(estimator.encoder_.transform(rows.frame))[held])
    assert F.cross_entropy(logits, torch.tensor(rows.y)[held]).item() == pytest.approx(curve[best], rel=1e-4)
    assert estimator.n_iter_ < 400


def test_without_early_stopping_it_trains_to_the_end_on_all_rows():
    estimator = NetworkRegressor(early_stopping=False, **SHORT).fit(X, Y)
    assert estimator.n_iter_ == 40
    assert estimator.validation_curve_ == []
    assert len(estimator.loss_curve_) == 40
    assert estimator.loss_curve_[-1] < 0.5 * estimator.loss_curve_[0]


def test_few_rows_are_learnt_without_a_validation_part():
    estimator = NetworkRegressor(**SHORT).fit(X[:9], Y[:9])
    assert estimator.validation_curve_ == []
    assert estimator.n_iter_ == 40
    assert NetworkRegressor(**SHORT).fit(X[:10], Y[:10]).validation_curve_


@pytest.mark.parametrize("network", ["mlp", "kan"])
def test_a_seed_repeats_a_fit_and_leaves_the_global_generators_alone(network):
    def states():
        return torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    before = states()
    first, again, other = (
        NetworkClassifier(network, **SHORT | {"random_state": seed}).fit(X, LABELS).predict_proba(X)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert all(np.array_equal(a, b) for a, b in zip(before, states(), strict=True))


def test_the_order_of_the_rows_does_not_matter():
    order = np.random.default_rng(0).permutation(len(Y))
    a = NetworkRegressor(**SHORT).fit(X, Y)
    b = NetworkRegressor(**SHORT).fit(X[order], Y[order])
    np.testing.assert_array_equal(a.predict(X), b.predict(X))


def test_a_prediction_does_not_depend_on_the_rows_beside_it():
    estimator = NetworkRegressor("fan", **SHORT).fit(X, Y)
    single = [estimator.predict(row[None])[0] for row in X[:20]]
    np.testing.assert_allclose(estimator.predict(X)[:20], single, rtol=1e-12)


def test_copies_predict_the_same_and_learn_the_same():
    estimator = NetworkRegressor("moe", **SHORT).partial_fit(X, Y)
    stored, copied = pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)
    predictions = [e.partial_fit(X, Y).predict(X) for e in (estimator, stored, copied)]
    np.testing.assert_array_equal(predictions[0], predictions[1])
    np.testing.assert_array_equal(predictions[0], predictions[2])
    with pytest.raises(NotFittedError):
        clone(estimator).predict(X)
    assert not hasattr(clone(estimator), "module_")


def learn_in_passes(estimator):
    for _ in range(5):
        estimator.partial_fit(X, Y)


def test_a_training_that_diverges_is_an_error():
    with pytest.raises(LaminaError, match="the training of 'mlp' diverged with learning_rate=1e\\+30"):
        NetworkRegressor(**SHORT | {"learning_rate": 1e30, "precision": "bfloat16"}).fit(X, Y)


def test_a_pass_that_diverges_is_an_error_and_leaves_what_was_learnt():
    estimator = NetworkRegressor(**SHORT).partial_fit(X, Y)
    before = estimator.predict(X)
    with pytest.raises(LaminaError, match="diverged"):
        learn_in_passes(estimator.set_params(learning_rate=1e30))
    np.testing.assert_array_equal(estimator.predict(X), before)
    learn_in_passes(estimator.set_params(learning_rate=4e-3))
    assert estimator.score(X, Y) > 0.6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network": "kann"}, "'kann' is not known; the closest are: kan"),
        ({"params": 0}, "params=0: params has to be a whole number of at least 1"),
        ({"params": 5}, "'mlp' with"),
        ({"members": 1.5}, "members=1.5: members has to be a whole number"),
        ({"steps": 0}, "steps=0"),
        ({"batch_size": "8"}, "batch_size='8'"),
        ({"learning_rate": -1}, "learning_rate=-1"),
        ({"weight_decay": None}, "weight_decay=None"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"early_stopping": "yes"}, "early_stopping='yes'"),
        ({"options": [3]}, r"options=\[3\]"),
        ({"options": {"dept": 3}}, "option of 'mlp' 'dept' is not known; the closest are: depth"),
        ({"options": {"in_features": 3}}, "option of 'mlp' 'in_features' is not known"),
        ({"scaling": "quantil"}, "scaling 'quantil' is not known; the closest are: quantile"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"precision": "float8"}, "precision is 'float8'"),
    ],
)
def test_a_bad_parameter_is_refused_by_fit_and_named(parameters, message):
    estimator = NetworkRegressor(**parameters)
    with pytest.raises(LaminaError, match=message):
        estimator.fit(X, Y)


def test_columns_without_content_are_an_error_that_says_why():
    with pytest.raises(LaminaError, match="no column is left to learn from; columns left out: 'a'"):
        NetworkRegressor().fit(pd.DataFrame({"a": [1] * 30}), np.arange(30))
