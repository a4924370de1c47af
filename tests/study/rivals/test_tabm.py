import pytest
from folds import accuracy, explained, mixed, require_settings

from lamina.study.rivals.tabm import RIVAL

pytabkit = pytest.importorskip("pytabkit")


@pytest.mark.parametrize("model", ["TabM_D_Classifier", "TabM_D_Regressor"])
def test_the_first_setting_is_the_default(model):
    known = getattr(pytabkit, model)().get_config()
    (setting,) = RIVAL.settings(1)
    assert setting == {name: known[name] for name in setting}


def test_settings():
    require_settings(RIVAL, {"lr": (5e-4, 5e-3), "weight_decay": (1e-4, 0.1), "dropout": (0, 0.5)})
    assert {s["num_emb_type"] for s in RIVAL.settings(8)} == {"none", "pwl"}


@pytest.mark.parametrize("embedding", ["none", "pwl"])
def test_learns_classes(embedding):
    fold = mixed()
    setting = {"lr": 5e-3, "weight_decay": 0.0, "dropout": 0.1, "num_emb_type": embedding}
    assert accuracy(fold, RIVAL.fit(fold, setting, 0, 1000)) > 0.7


def test_learns_values():
    fold = mixed(values=True)
    assert explained(fold, RIVAL.fit(fold, RIVAL.settings(1)[0], 0, 1000)) > 0.6
