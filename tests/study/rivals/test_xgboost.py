import json

import pytest
from folds import require_settings, require_sound, require_stopping

from lamina.study.rivals.xgboost import RIVAL

xgboost = pytest.importorskip("xgboost")


def test_the_first_setting_is_the_default():
    model = xgboost.XGBRegressor(n_estimators=1).fit([[0.0], [1.0]], [0.0, 1.0])
    config = json.loads(model.get_booster().save_config())["learner"]["gradient_booster"]["tree_train_param"]
    (setting,) = RIVAL.settings(1)
    assert setting == {name: pytest.approx(float(config[name])) for name in setting}


def test_settings():
    ranges = {"learning_rate": (0.02, 0.3), "max_depth": (3, 10), "min_child_weight": (1, 20)}
    shares = dict.fromkeys(("subsample", "colsample_bytree"), (0.5, 1))
    require_settings(RIVAL, {**ranges, **shares, "reg_lambda": (1e-2, 10)})


def test_learns():
    require_sound(RIVAL)


def test_stops():
    require_stopping(RIVAL, xgboost.XGBRegressor(n_estimators=500, n_jobs=1))
