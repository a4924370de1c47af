"""The scores by which networks are compared, each with its direction and its region of practical equivalence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import metrics as skm

from lamina.errors import LaminaError, unknown


@dataclass(frozen=True)
class Metric:
    """A score of predictions.

    Attributes:
        name: as on the command line and in ``summary.json``.
        higher_is_better: the direction.
        tasks: the kinds of task that it is for.
        relative: whether the region of practical equivalence is a share of the constant prediction's score
            (metrics in the target's unit) or an absolute difference (metrics on a fixed scale).
        bounds: the lowest and the highest score there can be.
        every_class: whether a part without a row of some class has no score.
    """

    name: str
    higher_is_better: bool
    tasks: tuple[str, ...]
    function: Callable[[np.ndarray, np.ndarray], float]
    relative: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)
    every_class: bool = False

    def __call__(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Score `prediction` against `y`.

        Args:
            y: (rows,) class codes ``0..k-1`` or target values.
            prediction: (rows, classes) probabilities, or (rows,) values for a regression.
        """
        return float(self.function(y, prediction))

    def rope(self, constant: float) -> float:
        """Half the width of the region of practical equivalence: 0.01, or 1 % of the `constant` rival's score."""
        return 0.01 * abs(constant) if self.relative else 0.01


def _macro_auc(y: np.ndarray, p: np.ndarray) -> float:
    return float(np.mean([skm.roc_auc_score(y == k, p[:, k]) for k in np.unique(y)]))


def _log_loss(y: np.ndarray, p: np.ndarray) -> float:
    chosen = np.take_along_axis(np.clip(p, 1e-7, 1.0), y[:, None], axis=1)
    return float(-np.log(chosen).mean())


_CLASSES = ("binary", "multiclass")
METRICS = {
    m.name: m
    for m in (
        Metric("roc_auc", True, ("binary",), lambda y, p: skm.roc_auc_score(y, p[:, 1]), every_class=True),
        Metric("accuracy", True, _CLASSES, lambda y, p: skm.accuracy_score(y, p.argmax(1))),
        Metric("balanced_accuracy", True, _CLASSES, lambda y, p: skm.balanced_accuracy_score(y, p.argmax(1))),
        Metric("macro_auc", True, ("multiclass",), _macro_auc, every_class=True),
        Metric("log_loss", False, _CLASSES, _log_loss, True, (0.0, math.inf)),
        Metric("rmse", False, ("regression",), skm.root_mean_squared_error, True, (0.0, math.inf)),
        Metric("mae", False, ("regression",), skm.mean_absolute_error, True, (0.0, math.inf)),
        Metric("r2", True, ("regression",), skm.r2_score, bounds=(-math.inf, 1.0)),
    )
}
_DEFAULT = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "rmse"}


def metric_for(task: str, name: str | None = None) -> Metric:
    """The metric called `name`, or the default of the `task`: ROC AUC (it does not depend on a threshold or on how
    rare a class is), accuracy for several classes, root mean squared error for a regression.

    Raises:
        LaminaError: the name is not known, or the metric is not one for this kind of task.
    """
    name = name or _DEFAULT[task]
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    metric = METRICS[name]
    if task not in metric.tasks:
        fit = ", ".join(m.name for m in METRICS.values() if task in m.tasks)
        raise LaminaError(f"metric {name!r} is for {' and '.join(metric.tasks)} tasks, this task is {task}; use {fit}")
    return metric
