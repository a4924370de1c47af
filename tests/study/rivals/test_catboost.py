import pytest
from folds import require_settings, require_sound, require_stopping

from lamina.study.rivals.catboost import RIVAL

catboost = pytest.importorskip("catboost")


def test_the_first_setting_is_the_default():
    model = catboost.CatBoostRegressor(iterations=1, allow_writing_files=False, logging_level="Silent")
    known = model.fit([[0.0], [1.0]], [0.0, 1.0]).get_all_params()
    (setting,) = RIVAL.settings(1)
    assert setting == {name: known[name] for name in setting}


def test_settings():
    require_settings(RIVAL, {"learning_rate": (0.02, 0.3), "depth": (3, 8), "l2_leaf_reg": (1, 30)})


def test_learns():
    require_sound(RIVAL)


def test_stops():
    endless = catboost.CatBoostRegressor(
        iterations=500, learning_rate=0.3, thread_count=1, allow_writing_files=False, logging_level="Silent"
    )
    require_stopping(RIVAL, endless)
