import pytest

from lamina.errors import LaminaError
from lamina.training.setting import Setting, draw_settings


def test_the_defaults_come_first_and_a_larger_search_contains_the_smaller():
    assert draw_settings(1) == [Setting()]
    assert draw_settings(20)[:8] == draw_settings(8)
    assert len(set(draw_settings(20))) == 20


def test_the_settings_stay_in_their_ranges():
    for s in draw_settings(100)[1:]:
        assert 1e-3 <= s.learning_rate <= 1e-2
        assert 1e-2 <= s.weight_decay <= 1
        assert 0 <= s.dropout <= 0.4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0}, "learning_rate is 0, it has to be greater than 0"),
        ({"weight_decay": -1}, "weight_decay is -1, it has to be 0 or greater"),
        ({"dropout": 1.0}, "dropout is 1.0, it has to be at least 0 and below 1"),
    ],
)
def test_values_out_of_range_are_named(values, message):
    with pytest.raises(LaminaError, match=message):
        Setting(**values)


def test_no_setting_is_an_error():
    with pytest.raises(LaminaError, match="settings is 0, it has to be at least 1"):
        draw_settings(0)
