import dataclasses
import math
import time

import numpy as np
import pytest

from lamina.data.splits import outer_splits
from lamina.data.task import make_task
from lamina.fold import Fold
from lamina.study.contender import Attempt, NetworkContender, constant_prediction, judge_attempt
from lamina.study.question import Question
from lamina.training import OutOfTime

QUESTION = Question("iris", "y", "multiclass", "accuracy", 150, "", ("mlp",), (), ("backprop",), 1000, 1, 2, 2, 40)


@pytest.fixture(scope="module")
def fold():
    task = make_task("iris")
    return Fold(task, outer_splits(task, 1)[0], 2, 1000)


def attempt(fold, losses):
    """Setting 0 predicts the truth, setting 1 the first class."""
    truth = np.eye(3)[fold.task.y]

    def predict(setting, rows):
        one = truth[rows] if setting == 0 else np.eye(3)[np.zeros(len(rows), int)]
        return np.stack([one, one])

    return Attempt([{"a": 0}, {"a": 1}], np.array(losses), predict, 8.0)


def test_the_lowest_mean_validation_loss_chooses_and_the_test_part_judges(fold):
    outcome = judge_attempt(fold, attempt(fold, [[0.1, 0.1], [0.9, 0.01]]))
    assert outcome.chosen == 0
    assert outcome.ensemble == 1.0
    assert [t.score for t in outcome.trials] == [1.0, 1.0, None, None]
    assert [t.seconds for t in outcome.trials] == [2.0] * 4
    worse = judge_attempt(fold, attempt(fold, [[0.5, 0.5], [0.1, 0.2]]))
    assert worse.chosen == 1
    assert worse.ensemble == pytest.approx(np.mean(fold.task.y[fold.split.test] == 0))


def test_a_diverged_training_counts_as_the_constant_prediction(fold):
    outcome = judge_attempt(fold, attempt(fold, [[math.inf, math.inf], [math.inf, 0.3]]))
    constant = fold.task.metric(fold.task.y[fold.split.test], constant_prediction(fold, fold.split.test))
    assert outcome.trials[0].diverged
    assert outcome.trials[0].validation is None
    assert outcome.trials[outcome.chosen * 2].score == constant


def test_a_setting_whose_loss_is_no_number_is_not_chosen(fold):
    assert judge_attempt(fold, attempt(fold, [[math.nan, 0.1], [0.5, 0.5]])).chosen == 1


def test_a_network_is_trained_with_every_setting_and_seed(fold):
    seen = []
    made = NetworkContender("mlp", "cpu").attempt(fold, QUESTION, math.inf, seen.append)
    assert made.losses.shape == (2, 2)
    assert np.isfinite(made.losses).all()
    assert made.params == pytest.approx(1000, rel=0.05)
    assert made.flops > made.params
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    rows = fold.inner[1][1]
    loss = fold.head.loss(fold.task.y[rows], made.predict(0, rows)[1])
    assert loss == pytest.approx(made.losses[0, 1], rel=1e-4)


def test_the_deadline_is_kept(fold):
    with pytest.raises(OutOfTime):
        NetworkContender("mlp", "cpu").attempt(fold, QUESTION, time.monotonic() - 1, lambda _: None)


def test_the_constant_is_the_mean_or_the_class_frequencies(fold):
    y = fold.task.y[fold.split.train]
    np.testing.assert_allclose(constant_prediction(fold, np.arange(2)), [np.bincount(y) / len(y)] * 2)
    task = make_task("diabetes")
    regression = Fold(task, outer_splits(task, 1)[0], 1, 1000)
    expected = task.y[regression.split.train].mean()
    np.testing.assert_allclose(constant_prediction(regression, np.arange(3)), [expected] * 3)


@pytest.mark.parametrize("racing", [False, True])
def test_settings_race_where_the_question_says_so_and_the_chosen_one_is_trained_to_the_end(fold, racing):
    asked = dataclasses.replace(QUESTION, settings=4, racing=racing)
    made = NetworkContender("mlp", "cpu").attempt(fold, asked, math.inf, lambda share: None)
    outraced = [[t.outraced for t in seeds] for seeds in made.traces]
    assert sum(map(all, outraced)) == (3 if racing else 0)
    assert not any(outraced[judge_attempt(fold, made).chosen])
