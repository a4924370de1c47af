import inspect

import pytest
from folds import require_settings, require_sound, require_stopping

from lamina.study.rivals.lightgbm import RIVAL

lightgbm = pytest.importorskip("lightgbm")


def test_the_first_setting_is_the_default():
    known = inspect.signature(lightgbm.LGBMClassifier).parameters
    (setting,) = RIVAL.settings(1)
    assert setting == {name: known[name].default for name in setting}


def test_settings():
    ranges = {"learning_rate": (0.02, 0.3), "num_leaves": (7, 63), "min_child_samples": (5, 40)}
    require_settings(RIVAL, {**ranges, "reg_lambda": (1e-3, 10), "colsample_bytree": (0.5, 1)})


def test_learns():
    require_sound(RIVAL)


def test_stops():
    require_stopping(RIVAL, lightgbm.LGBMRegressor(n_estimators=500, verbosity=-1, n_jobs=1))
