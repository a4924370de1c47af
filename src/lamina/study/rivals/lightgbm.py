"""LightGBM, when it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities, halton


class LightGBM:
    """Gradient boosted trees grown leaf by leaf; the validation part stops the boosting."""

    requires = "lightgbm"
    summary = "LightGBM, early stopping"
    paper = "Ke et al. 2017, LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 30"

    def settings(self, n: int) -> list[dict]:
        """LightGBM's defaults first, then a Halton sequence: learning rate in [0.02, 0.3], leaves in [7, 63], L2
        penalty in [1e-3, 10] (all log-uniform), rows in a leaf in [5, 40], share of the columns in [0.5, 1]."""
        default = {
            "learning_rate": 0.1,
            "num_leaves": 31,
            "reg_lambda": 0.0,
            "min_child_samples": 20,
            "colsample_bytree": 1.0,
        }
        return [default] + [
            {
                "learning_rate": float(f"{0.02 * 15**a:.3g}"),
                "num_leaves": round(7 * 9**b),
                "reg_lambda": float(f"{1e-3 * 1e4**c:.3g}"),
                "min_child_samples": round(5 + 35 * d),
                "colsample_bytree": float(f"{0.5 + 0.5 * e:.3g}"),
            }
            for a, b, c, d, e in halton(n - 1, 5)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        import lightgbm  # pyright: ignore[reportMissingImports]

        x, categorical = fold.raw
        train, validation = fold.inner[seed]
        kind = lightgbm.LGBMClassifier if fold.head.classes else lightgbm.LGBMRegressor
        model: Any = kind(
            **setting,
            n_estimators=500,
            n_jobs=torch.get_num_threads(),
            random_state=seed,
            deterministic=True,
            force_row_wise=True,
            verbosity=-1,
        )
        y = fold.task.y
        model.fit(
            x[train],
            y[train],
            eval_X=x[validation],
            eval_y=y[validation],
            categorical_feature=np.flatnonzero(categorical).tolist(),
            callbacks=[lightgbm.early_stopping(20, verbose=False)],
        )
        if not fold.head.classes:
            return lambda r: model.predict(x[r])
        return lambda r: full_probabilities(model.predict_proba(x[r]), model.classes_, fold.head.classes)


RIVAL = LightGBM()
