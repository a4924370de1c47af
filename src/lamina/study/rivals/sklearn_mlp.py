"""Scikit-learn's multi-layer perceptron."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities, halton

EPOCHS = 200  # scikit-learn's default for max_iter
PATIENCE = 10  # and for n_iter_no_change


class SklearnMLP:
    """Two hidden layers of equal width at the networks' budget; the validation part stops the training."""

    requires = "sklearn"
    summary = "scikit-learn's MLP at the same budget, early stopping"
    paper = "Pedregosa et al. 2011, Scikit-learn: Machine Learning in Python, JMLR 12"

    def settings(self, n: int) -> list[dict]:
        """Scikit-learn's defaults first, then a Halton sequence: learning rate in [3e-4, 1e-2] and L2 penalty in
        [1e-5, 1], both log-uniform."""
        default = {"learning_rate_init": 1e-3, "alpha": 1e-4}
        return [default] + [
            {"learning_rate_init": float(f"{3e-4 * 33.3**a:.3g}"), "alpha": float(f"{1e-5 * 1e5**b:.3g}")}
            for a, b in halton(n - 1, 2)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        x, head = fold.dense, fold.head
        width = hidden_width(params, x.shape[1], head.outputs)
        kind = MLPClassifier if head.classes else MLPRegressor
        model: Any = kind(hidden_layer_sizes=(width, width), random_state=seed, **setting)
        train, validation = fold.inner[seed]
        y = head.encode(fold.task.y)
        classes = np.unique(y[train])

        def predict(rows: np.ndarray) -> np.ndarray:
            if head.classes:
                return full_probabilities(model.predict_proba(x[rows]), model.classes_, head.classes)
            return model.predict(x[rows]) * head.scale + head.mean

        best, best_loss, best_epoch = None, math.inf, 0
        for epoch in range(EPOCHS):
            if head.classes:
                model.partial_fit(x[train], y[train], classes=classes)
            else:
                model.partial_fit(x[train], y[train])
            loss = head.loss(fold.task.y[validation], predict(validation))
            if loss < best_loss:
                best_loss, best_epoch = loss, epoch
                best = copy.deepcopy((model.coefs_, model.intercepts_))
            elif epoch - best_epoch >= PATIENCE or not math.isfinite(loss):
                break
        if best is not None:
            model.coefs_, model.intercepts_ = best
        return predict


def hidden_width(params: int, inputs: int, outputs: int) -> int:
    """The width ``w`` of two hidden layers for which ``w^2 + (inputs + outputs + 2) w + outputs`` is near `params`."""
    b = inputs + outputs + 2
    return max(1, round((math.sqrt(b * b + 4 * (params - outputs)) - b) / 2)) if params > outputs else 1


RIVAL = SklearnMLP()
