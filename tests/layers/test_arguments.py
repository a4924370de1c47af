"""Arguments are checked with errors that name them."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lamina.errors import LaminaError
from lamina.layers.arguments import described, features, positive, whole, within


@pytest.mark.parametrize("value", [2, 7, np.int64(3)])
def test_whole_numbers_pass(value):
    whole(2, width=value)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "3", None, math.nan])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(LaminaError) as error:
        whole(depth=5, width=value)
    assert str(error.value) == f"width={value!r}: width has to be a whole number of at least 1"


@pytest.mark.parametrize("value", [0, 0.5, 0.99, np.float32(0.1)])
def test_numbers_within_the_bounds_pass(value):
    within(0.0, 0.99, dropout=value)


@pytest.mark.parametrize("value", [-1e-9, 1, math.nan, "0.1", False])
def test_numbers_beyond_the_bounds_are_refused(value):
    with pytest.raises(LaminaError) as error:
        within(0.0, 0.99, dropout=value)
    assert str(error.value) == f"dropout={value!r}: dropout has to be a number from 0.0 to 0.99"


@pytest.mark.parametrize("value", [0, -2.0, math.inf, math.nan, True, "1"])
def test_what_is_not_positive_is_refused(value):
    positive(gain=1e-300)
    with pytest.raises(LaminaError) as error:
        positive(gain=value)
    assert str(error.value) == f"gain={value!r}: gain has to be a finite number above 0"


@pytest.mark.parametrize("shape", [(3, 5), (), (4, 0)])
def test_an_input_of_another_size_is_named(shape):
    x = torch.zeros(2, 4)
    assert features(x, 4) is x
    with pytest.raises(LaminaError) as error:
        features(torch.zeros(shape), 4)
    assert str(error.value) == f"input of shape {shape}: its last dimension has to be in_features=4"


def test_a_module_describes_its_arguments():
    class Scale(nn.Module):
        def __init__(self, size: int, factor: float = 1.0, mode: str = "up", device=None, dtype=None):
            super().__init__()
            self.size, self.factor, self.mode = size, factor, mode

        extra_repr = described

    assert repr(Scale(3, mode="down")) == "Scale(size=3, factor=1.0, mode='down')"
