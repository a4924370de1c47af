"""The constant prediction: the class frequencies or the mean of the training part."""

from __future__ import annotations

import numpy as np

from lamina.fold import Fold
from lamina.study.contender import constant_prediction
from lamina.study.rivals._protocol import Predictor


class Constant:
    """Predicts the same for every row; what does not beat it has learnt nothing."""

    requires = "sklearn"
    summary = "class frequencies or mean of the training part"
    paper = ""

    def settings(self, n: int) -> list[dict]:
        """There is nothing to set."""
        return [{}]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""

        def predict(rows: np.ndarray) -> np.ndarray:
            return constant_prediction(fold, rows)

        return predict


RIVAL = Constant()
