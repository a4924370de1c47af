import pytest
import torch

from lamina.errors import LaminaError
from lamina.training.device import choose_device


def test_auto_is_a_device_that_is_here():
    assert torch.zeros(1, device=choose_device()).item() == 0


def test_a_device_that_is_none_is_named():
    with pytest.raises(LaminaError, match="device 'cpu:x' is none; write cpu, cuda or cuda:0"):
        choose_device("cpu:x")


def test_a_device_that_is_not_here_is_named_with_those_that_are():
    with pytest.raises(LaminaError, match=r"device 'abacus' is not here; this machine has auto, cpu"):
        choose_device("abacus")
