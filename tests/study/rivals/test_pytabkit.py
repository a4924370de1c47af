"""What the networks of pytabkit are given, which can be seen without pytabkit."""

import numpy as np
import torch
from folds import fold_of, mixed

from lamina.study.rivals._pytabkit import filled, train


def test_gaps_are_filled_and_those_of_numbers_marked():
    fold = mixed()
    raw, categorical = fold.raw
    x, kinds = filled(fold)
    number, code, mark = x.T
    gaps = np.isnan(raw)
    assert categorical.tolist() == [False, True]
    assert kinds.tolist() == [False, True, False]
    np.testing.assert_array_equal(mark, gaps[:, 0])
    np.testing.assert_array_equal(number[~gaps[:, 0]], raw[~gaps[:, 0], 0])
    assert set(number[gaps[:, 0]]) == {np.nanmedian(raw[fold.split.train, 0])}
    np.testing.assert_array_equal(code == -1, gaps[:, 1])


def test_a_table_without_gaps_stays_as_it_is():
    fold = fold_of("iris")
    x, kinds = filled(fold)
    np.testing.assert_array_equal(x, fold.raw[0])
    assert not kinds.any()


class Recorder:
    """An estimator that knows what it was given, and predicts the second class of those it saw."""

    def __init__(self, **options):
        self.options = options

    def fit(self, x, y, **validation):
        Recorder.last, self.x, self.y, self.validation = self, x, y, validation
        self.classes_ = np.unique(y)

    def predict_proba(self, x):
        return np.eye(len(self.classes_))[np.ones(len(x), dtype=int)]


def test_a_seed_has_its_own_training_and_validation_part():
    fold = mixed()
    predict = train(fold, 1, Recorder, lr=0.5)
    model, (rows, held), (x, kinds) = Recorder.last, fold.inner[1], filled(fold)
    np.testing.assert_array_equal(model.x, x[rows])
    np.testing.assert_array_equal(model.validation["X_val"], x[held])
    np.testing.assert_array_equal(model.validation["y_val"], fold.task.y[held])
    assert model.validation["cat_indicator"] == kinds.tolist()
    assert model.options == {"lr": 0.5, "device": "cpu", "n_threads": torch.get_num_threads(), "random_state": 1}
    np.testing.assert_array_equal(predict(np.arange(3)), [[0, 1, 0]] * 3)
