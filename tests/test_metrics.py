"""Metrics against closed forms."""

import numpy as np
import pytest

from lamina.errors import LaminaError
from lamina.metrics import METRICS, metric_for

LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.2, 0.7, 0.1],
        [0.1, 0.8, 0.1],
        [0.3, 0.6, 0.1],
        [0.5, 0.3, 0.2],
    ]
)
VALUES, PREDICTED = np.array([1.0, 2.0, 3.0, 6.0]), np.array([1.0, 2.0, 4.0, 3.0])


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("accuracy", 3 / 5),
        ("balanced_accuracy", (1 / 2 + 1 + 0) / 3),
        # of the pairs of a row of the class and another: (3 + 1) / 6, (3 + 2) / 6 and 4 / 4 are in order
        ("macro_auc", (4 / 6 + 5 / 6 + 1) / 3),
        ("log_loss", -np.log(0.7 * 0.2 * 0.8 * 0.6 * 0.2) / 5),
    ],
)
def test_several_classes(name, score):
    assert METRICS[name](LABELS, PROBABILITIES) == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize(("name", "score"), [("rmse", np.sqrt(10 / 4)), ("mae", 1.0), ("r2", 1 - 10 / (4 + 1 + 0 + 9))])
def test_values(name, score):
    assert METRICS[name](VALUES, PREDICTED) == pytest.approx(score, rel=1e-12)


def test_roc_auc_counts_the_pairs_in_order_and_half_of_the_ties():
    positive = np.array([0.1, 0.4, 0.4, 0.8])
    score = METRICS["roc_auc"](np.array([0, 1, 0, 1]), np.stack([1 - positive, positive], axis=1))
    assert score == pytest.approx((1 + 0.5 + 2) / 4)


def test_macro_auc_leaves_out_a_class_that_no_row_has():
    rows = LABELS < 2
    assert METRICS["macro_auc"](LABELS[rows], PROBABILITIES[rows]) == pytest.approx((3 / 4 + 3 / 4) / 2)


def test_log_loss_of_an_impossible_class_is_finite():
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert METRICS["log_loss"](np.array([0, 1]), certain) == pytest.approx(-np.log(1e-7) / 2)


@pytest.mark.parametrize("name", METRICS)
def test_the_better_prediction_scores_higher_or_lower_as_the_metric_says(name):
    metric = METRICS[name]
    if "regression" in metric.tasks:
        y, best, worse = VALUES, VALUES, PREDICTED
    else:
        y = np.array([0, 1, 0, 1, *([2] * ("binary" not in metric.tasks))])
        best = np.eye(y.max() + 1)[y]
        worse = best[::-1] * 0.6 + 0.4 / best.shape[1]
    assert (metric(y, best) > metric(y, worse)) == metric.higher_is_better


def test_the_region_of_equivalence_is_a_share_only_in_the_targets_unit():
    assert METRICS["accuracy"].rope(0.3) == 0.01
    assert METRICS["r2"].rope(-0.2) == 0.01
    assert METRICS["rmse"].rope(77.0) == pytest.approx(0.77)
    assert METRICS["log_loss"].rope(-0.5) == pytest.approx(0.005)


def test_defaults_of_the_tasks():
    assert [metric_for(task).name for task in ("binary", "multiclass", "regression")] == ["roc_auc", "accuracy", "rmse"]
    assert metric_for("binary", "log_loss") is METRICS["log_loss"]


def test_an_unknown_metric_is_answered_with_the_closest():
    with pytest.raises(LaminaError, match=r"^metric 'acuracy' is not known; the closest are: accuracy, "):
        metric_for("binary", "acuracy")


def test_a_metric_of_another_task_is_refused_with_those_that_fit():
    with pytest.raises(LaminaError) as error:
        metric_for("regression", "accuracy")
    assert str(error.value) == (
        "metric 'accuracy' is for binary and multiclass tasks, this task is regression; use rmse, mae, r2"
    )
