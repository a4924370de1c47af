"""CatBoost, when it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities, halton


class CatBoost:
    """Gradient boosted symmetric trees, categories as ordered statistics; the validation part stops the boosting."""

    requires = "catboost"
    summary = "CatBoost, early stopping"
    paper = "Prokhorenkova et al. 2018, CatBoost: unbiased boosting with categorical features, arXiv:1706.09516"

    def settings(self, n: int) -> list[dict]:
        """CatBoost's defaults first, with a learning rate that it derives from the number of rows; then a Halton
        sequence: learning rate in [0.02, 0.3], L2 penalty in [1, 30] (both log-uniform), depth in [3, 8]."""
        default = {"depth": 6, "l2_leaf_reg": 3.0}
        return [default] + [
            {
                "learning_rate": float(f"{0.02 * 15**a:.3g}"),
                "depth": round(3 + 5 * b),
                "l2_leaf_reg": float(f"{30**c:.3g}"),
            }
            for a, b, c in halton(n - 1, 3)
        ]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        import catboost  # pyright: ignore[reportMissingImports]

        x, categorical = fold.raw
        if categorical.any():  # which have to be whole numbers or texts, and may not be missing
            codes = np.nan_to_num(x[:, categorical], nan=-1).astype(int)
            x = x.astype(object)
            x[:, categorical] = codes
        train, validation = fold.inner[seed]
        model: Any = (catboost.CatBoostClassifier if fold.head.classes else catboost.CatBoostRegressor)(
            **setting,
            iterations=500,
            early_stopping_rounds=20,
            cat_features=np.flatnonzero(categorical).tolist(),
            thread_count=torch.get_num_threads(),
            random_seed=seed,
            allow_writing_files=False,
            logging_level="Silent",
        )
        y = fold.task.y
        model.fit(x[train], y[train], eval_set=(x[validation], y[validation]))
        if not fold.head.classes:
            return lambda r: model.predict(x[r])
        return lambda r: full_probabilities(model.predict_proba(x[r]), model.classes_, fold.head.classes)


RIVAL = CatBoost()
