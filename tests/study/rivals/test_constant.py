import numpy as np
import pytest
from folds import fold_of, without_a_class

from lamina.study.rivals.constant import RIVAL


def test_probabilities_are_the_class_frequencies_of_the_training_part():
    fold = fold_of("wine")
    found = RIVAL.fit(fold, {}, 0, 1000)(fold.split.test)
    y = fold.task.y[fold.split.train]
    np.testing.assert_allclose(found, [[np.mean(y == k) for k in range(3)]] * len(fold.split.test), rtol=1e-12)


def test_a_class_without_a_row_has_probability_0():
    fold = without_a_class()
    np.testing.assert_array_equal(RIVAL.fit(fold, {}, 0, 1000)(np.arange(2)), [[0.5, 0, 0.5]] * 2)


def test_the_value_is_the_mean_of_the_training_part():
    fold = fold_of("diabetes")
    found = RIVAL.fit(fold, {}, 1, 1000)(fold.split.test)
    assert found.shape == fold.split.test.shape
    assert found == pytest.approx(fold.task.y[fold.split.train].mean())


def test_there_is_one_setting():
    assert RIVAL.settings(8) == [{}]
