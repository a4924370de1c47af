import pytest
from folds import fold_of, require_settings, require_sound

from lamina.study.rivals.realmlp import RIVAL

pytabkit = pytest.importorskip("pytabkit")


@pytest.mark.parametrize(("data", "model"), [("iris", "RealMLP_TD_Classifier"), ("diabetes", "RealMLP_TD_Regressor")])
def test_the_first_setting_is_the_default(data, model, monkeypatch):
    known = getattr(pytabkit, model)().get_config()
    (setting,) = RIVAL.settings(1)
    asked = {}
    monkeypatch.setattr("lamina.study.rivals.realmlp.train", lambda fold, seed, kind, **options: asked.update(options))
    RIVAL.fit(fold_of(data), setting, 0, 1000)
    for name in ("lr", "plr_sigma", "p_drop"):
        assert asked[name] == pytest.approx(known[name])


def test_settings():
    require_settings(RIVAL, {"lr_factor": (1 / 3.01, 3), "plr_sigma": (0.05, 0.5), "p_drop": (0, 0.3)})


def test_learns():
    require_sound(RIVAL)
