"""Scikit-learn's histogram gradient boosting."""

from __future__ import annotations

from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities, halton

MAX_CODES = 254  # more categories than this do not fit its bins: they are taken as ordered numbers


class HistGradientBoosting:
    """Gradient boosted trees, with as many settings as a network has; the validation part stops the boosting."""

    requires = "sklearn"
    summary = "scikit-learn's histogram gradient boosting, early stopping"
    paper = "Ke et al. 2017, LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 30"

    def settings(self, n: int) -> list[dict]:
        """Scikit-learn's defaults first, then a Halton sequence: learning rate in [0.02, 0.3], leaves in [7, 63],
        L2 penalty in [1e-3, 10] (all log-uniform), rows in a leaf in [5, 40]."""
        default = {
            "learning_rate": 0.1,
            "max_leaf_nodes": 31,
            "l2_regularization": 0.0,
            "min_samples_leaf": 20,
        }
        return [default] + [
            {
                "learning_rate": float(f"{0.02 * 15**a:.3g}"),
                "max_leaf_nodes": round(7 * 9**b),
                "l2_regularization": float(f"{1e-3 * 1e4**c:.3g}"),
                "min_samples_leaf": round(5 + 35 * d),
            }
            for a, b, c, d in halton(n - 1, 4)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        x, categorical = fold.raw
        train, validation = fold.inner[seed]
        options: dict[str, Any] = {
            **setting,
            "max_iter": 500,
            "early_stopping": True,
            "n_iter_no_change": 20,
            "categorical_features": categorical & ~(x > MAX_CODES).any(0),
            "random_state": seed,
        }
        kind = HistGradientBoostingClassifier if fold.head.classes else HistGradientBoostingRegressor
        model: Any = kind(**options)
        y = fold.task.y
        model.fit(x[train], y[train], X_val=x[validation], y_val=y[validation])
        if not fold.head.classes:
            return lambda r: model.predict(x[r])
        return lambda r: full_probabilities(model.predict_proba(x[r]), model.classes_, fold.head.classes)


RIVAL = HistGradientBoosting()
