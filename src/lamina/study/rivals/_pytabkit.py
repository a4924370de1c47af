"""How the networks of pytabkit are trained on a fold."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from lamina.fold import Fold
from lamina.study.rivals._protocol import Predictor, full_probabilities


def filled(fold: Fold) -> tuple[np.ndarray, np.ndarray]:
    """The raw table without gaps.

    Returns:
        (rows, columns): numbers, a gap as the training part's median; category codes, a gap as the code -1; then, for
        each number with gaps in the training part, whether it is missing. And (columns,) which are categories.
    """
    x, categorical = fold.raw
    gaps, train = np.isnan(x), fold.split.train
    medians = [0.0 if gaps[train, i].all() else np.nanmedian(x[train, i]) for i in range(x.shape[1])]
    marks = gaps[:, gaps[train].any(0) & ~categorical].astype(float)
    full = np.concatenate([np.where(gaps, np.where(categorical, -1.0, medians), x), marks], axis=1)
    return full, np.append(categorical, np.zeros(marks.shape[1], dtype=bool))


def train(fold: Fold, seed: int, kind: type, **options: Any) -> Predictor:
    """Train an estimator of the class `kind` with its `options`; the seed's validation part chooses the epoch."""
    x, categorical = filled(fold)
    y, (rows, held) = fold.task.y, fold.inner[seed]
    model = kind(**options, device="cpu", n_threads=torch.get_num_threads(), random_state=seed)
    with _quiet():
        model.fit(x[rows], y[rows], X_val=x[held], y_val=y[held], cat_indicator=categorical.tolist())

    def predict(rows: np.ndarray) -> np.ndarray:
        with _quiet():
            if fold.head.classes:
                return full_probabilities(model.predict_proba(x[rows]), model.classes_, fold.head.classes)
            return model.predict(x[rows])

    return predict


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning greets at every training and every prediction."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
