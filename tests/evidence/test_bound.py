import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.evidence import Target

numbers = st.floats(1e-3, 1e3)


def test_margins_of_a_ratio_are_logarithms_beyond_the_bound():
    margins = Target("loss", "ratio", at_most=0.5).margins([1.0, 2.0], [4.0, 2.0])
    np.testing.assert_allclose(margins, [np.log(2), -np.log(2)])


def test_margins_of_a_difference_and_of_a_value():
    np.testing.assert_allclose(Target("a", "difference", at_least=0.1).margins([0.5], [0.3]), [0.1])
    np.testing.assert_allclose(Target("a", "value", at_most=2).margins([1.5]), [0.5])
    np.testing.assert_allclose(Target("a", "every value", at_least=2).margins([1.5]), [-0.5])


@given(numbers, numbers, st.floats(0.1, 10))
def test_a_margin_is_positive_where_the_bound_is_reached(a, b, bound):
    for of, effect in (("ratio", a / b), ("difference", a - b)):
        for side, reached in (("at_most", effect < bound), ("at_least", effect > bound)):
            (margin,) = Target("m", of, **{side: bound}).margins([a], [b])
            if abs(effect - bound) > 1e-9:
                assert (margin > 0) == reached


@pytest.mark.parametrize("of", ["ratio", "difference"])
def test_who_has_no_number_has_failed(of):
    target = Target("m", of, at_most=1)
    assert target.margins([np.nan], [1.0]) == -np.inf
    assert target.margins([np.inf], [np.inf]) == -np.inf
    assert target.margins([1.0], [np.nan]) == np.inf


def test_ratios_of_zeros_and_of_numbers_below():
    target = Target("m", "ratio", at_most=0.5)
    assert target.margins([0.0], [1.0]) == np.inf
    assert target.margins([1.0], [0.0]) == -np.inf
    np.testing.assert_allclose(target.margins([0.0], [0.0]), -np.log(2))
    with pytest.raises(LaminaError, match="'m' is bounded as a ratio and has numbers below 0"):
        target.margins([-1.0], [1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "product", "at_most": 1}, "of='product' has to be one of"),
        ({"of": "ratio"}, "needs one of at_most and at_least"),
        ({"of": "ratio", "at_most": 1, "at_least": 1}, "needs one of at_most and at_least"),
        ({"of": "ratio", "at_most": 0}, "is no bound"),
        ({"of": "value", "at_most": 1, "against": "mlp"}, "not 'mlp'"),
    ],
)
def test_what_is_no_target_is_refused(arguments, message):
    with pytest.raises(LaminaError, match=message):
        Target("m", **arguments)


def test_a_target_in_words():
    assert str(Target("m", "every value", at_most=1e-6)) == "every value at most 1e-06"
