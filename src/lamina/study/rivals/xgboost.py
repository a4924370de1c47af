"""XGBoost, when it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities, halton


class XGBoost:
    """Gradient boosted trees grown level by level; the validation part stops the boosting."""

    requires = "xgboost"
    summary = "XGBoost, early stopping"
    paper = "Chen and Guestrin 2016, XGBoost: A Scalable Tree Boosting System, KDD, arXiv:1603.02754"

    def settings(self, n: int) -> list[dict]:
        """XGBoost's defaults first, then a Halton sequence: learning rate in [0.02, 0.3], L2 penalty in [1e-2, 10],
        least weight of a leaf in [1, 20] (all log-uniform), depth in [3, 10], rows and columns in [0.5, 1]."""
        default = {
            "learning_rate": 0.3,
            "max_depth": 6,
            "reg_lambda": 1.0,
            "min_child_weight": 1.0,
            "subsample": 1.0,
            "colsample_bytree": 1.0,
        }
        return [default] + [
            {
                "learning_rate": float(f"{0.02 * 15**a:.3g}"),
                "max_depth": round(3 + 7 * b),
                "reg_lambda": float(f"{1e-2 * 1e3**c:.3g}"),
                "min_child_weight": float(f"{20**d:.3g}"),
                "subsample": float(f"{0.5 + 0.5 * e:.3g}"),
                "colsample_bytree": float(f"{0.5 + 0.5 * f:.3g}"),
            }
            for a, b, c, d, e, f in halton(n - 1, 6)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        import xgboost  # pyright: ignore[reportMissingImports]

        x, categorical = fold.raw
        train, validation = fold.inner[seed]
        model: Any = (xgboost.XGBClassifier if fold.head.classes else xgboost.XGBRegressor)(
            **setting,
            n_estimators=500,
            early_stopping_rounds=20,
            enable_categorical=True,
            feature_types=["c" if c else "q" for c in categorical],
            n_jobs=torch.get_num_threads(),
            random_state=seed,
        )
        y = fold.task.y
        if not fold.head.classes:
            model.fit(x[train], y[train], eval_set=[(x[validation], y[validation])], verbose=False)
            return lambda r: model.predict(x[r])
        seen = np.unique(y[train])  # its labels have to be 0, 1, 2 ... without a gap
        labels = np.searchsorted(seen, y)
        model.fit(x[train], labels[train], eval_set=[(x[validation], labels[validation])], verbose=False)
        return lambda r: full_probabilities(model.predict_proba(x[r]), seen, fold.head.classes)


RIVAL = XGBoost()
