import inspect
import math

import numpy as np
import pytest
from folds import accuracy, explained, fold_of, loss, mixed, without_a_class
from sklearn.neural_network import MLPClassifier, MLPRegressor

from lamina.study.rivals import sklearn_mlp
from lamina.study.rivals.sklearn_mlp import RIVAL, hidden_width

(DEFAULT,) = RIVAL.settings(1)


@pytest.mark.parametrize("model", [MLPClassifier, MLPRegressor])
def test_the_first_setting_and_the_stopping_are_scikit_learns_defaults(model):
    known = {name: p.default for name, p in inspect.signature(model).parameters.items()}
    assert {name: known[name] for name in DEFAULT} == DEFAULT
    assert (known["max_iter"], known["n_iter_no_change"]) == (sklearn_mlp.EPOCHS, sklearn_mlp.PATIENCE)


def test_settings_are_distinct_and_within_their_ranges():
    settings = RIVAL.settings(16)
    assert settings[0] == DEFAULT
    assert len({tuple(s.values()) for s in settings}) == 16
    rates, penalties = zip(*(s.values() for s in settings[1:]), strict=True)
    assert 3e-4 <= min(rates) < max(rates) <= 1e-2
    assert 1e-5 <= min(penalties) < max(penalties) <= 1


@pytest.mark.parametrize("params", [1_000, 5_000, 20_000, 100_000])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (4, 3), (30, 2), (60, 10)])
def test_the_width_meets_the_budget_within_5_percent(params, inputs, outputs):
    w = hidden_width(params, inputs, outputs)
    found = (inputs + 1) * w + (w + 1) * w + (w + 1) * outputs
    assert found == pytest.approx(params, rel=0.05)


@pytest.mark.parametrize("params", [0, 3, 10])
def test_a_budget_below_the_smallest_gives_width_1(params):
    assert hidden_width(params, 4, 3) == 1


@pytest.mark.parametrize(("data", "model"), [("iris", MLPClassifier), ("diabetes", MLPRegressor)])
def test_the_weights_kept_are_those_of_the_least_validation_loss(monkeypatch, data, model):
    fold, losses = fold_of(data), []
    real = type(fold.head).loss

    def noted(self, y, prediction):
        losses.append(real(self, y, prediction))
        return losses[-1]

    monkeypatch.setattr(type(fold.head), "loss", noted)
    predict = RIVAL.fit(fold, {"learning_rate_init": 1e-2, "alpha": 1e-4}, 0, 1000)
    monkeypatch.undo()
    assert loss(fold, predict) == pytest.approx(min(losses), rel=1e-12)
    assert len(losses) == min(sklearn_mlp.EPOCHS, int(np.argmin(losses)) + 1 + sklearn_mlp.PATIENCE)
    assert min(losses) < losses[-1] or len(losses) == sklearn_mlp.EPOCHS


def test_a_training_that_diverges_ends_at_once(monkeypatch):
    fold = fold_of("diabetes")
    calls = []
    monkeypatch.setattr(type(fold.head), "loss", lambda *_: calls.append(1) or math.nan)
    RIVAL.fit(fold, DEFAULT, 0, 1000)
    assert len(calls) == 1


def test_categories_and_gaps_are_used():
    fold = mixed()
    assert accuracy(fold, RIVAL.fit(fold, {"learning_rate_init": 1e-2, "alpha": 1e-4}, 0, 1000)) > 0.75
    fold = mixed(values=True)
    assert explained(fold, RIVAL.fit(fold, {"learning_rate_init": 1e-2, "alpha": 1e-4}, 0, 1000)) > 0.6


def test_a_class_that_was_not_seen_has_probability_0():
    fold = without_a_class()
    found = RIVAL.fit(fold, DEFAULT, 0, 1000)(fold.split.test)
    assert found.shape == (30, 3)
    assert not found[:, 1].any()
    np.testing.assert_allclose(found.sum(1), 1)
