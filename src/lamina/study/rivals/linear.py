"""The linear model: logistic or ridge regression."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities


class Linear:
    """Logistic regression, or ridge regression, over strengths of the L2 penalty."""

    requires = "sklearn"
    summary = "logistic or ridge regression, L2 penalty chosen"
    paper = "Pedregosa et al. 2011, Scikit-learn: Machine Learning in Python, JMLR 12"

    def settings(self, n: int) -> list[dict]:
        """C = 1 first, then a log scale of `n` values over [1e-3, 1e3] without the one nearest to 1."""
        scale = np.geomspace(1e-3, 1e3, n)
        others = np.delete(scale, np.abs(np.log(scale)).argmin())
        return [{"C": float(f"{c:.3g}")} for c in (1.0, *others)]

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """See `Rival.fit`."""
        rows, x = fold.inner[seed][0], fold.dense
        y = fold.task.y[rows]
        if not fold.head.classes:
            ridge = Ridge(alpha=1.0 / setting["C"], solver="svd").fit(x[rows], fold.head.encode(y))
            return lambda r: ridge.predict(x[r]) * fold.head.scale + fold.head.mean
        logistic = LogisticRegression(C=setting["C"], max_iter=500)
        with warnings.catch_warnings():
            # A weak penalty may need more steps than are worth taking: the validation part prefers another then.
            warnings.simplefilter("ignore", ConvergenceWarning)
            logistic.fit(x[rows], y)
        return lambda r: full_probabilities(logistic.predict_proba(x[r]), logistic.classes_, fold.head.classes)


RIVAL = Linear()
