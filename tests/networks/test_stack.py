from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lamina.errors import LaminaError
from lamina.layers import KANLinear
from lamina.networks import Stack, count_params


def test_formula():
    stack = Stack(nn.Linear, 4, 3, width=6, last=5, dropout=0.5).double().eval()
    x = torch.randn(7, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    first, _, _, second, _, _ = stack.hidden
    expected = F.layer_norm(x @ first.weight.T + first.bias, (6,))
    expected = F.layer_norm(expected @ second.weight.T + second.bias, (5,))
    torch.testing.assert_close(stack(x), expected @ stack.head.weight.T + stack.head.bias, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("depth", "last", "sizes"), [(1, None, [8]), (1, 3, [3]), (3, None, [8] * 3), (3, 3, [8, 8, 3])]
)
def test_sizes_of_the_hidden_layers(depth, last, sizes):
    stack = Stack(nn.Linear, 4, 2, width=8, depth=depth, last=last)
    assert [m.out_features for m in stack.hidden if isinstance(m, nn.Linear)] == sizes
    pairs = list(zip([4, *sizes], [*sizes, 2], strict=True))
    assert count_params(stack) == sum(a * b + b for a, b in pairs) + 2 * sum(sizes)


def test_the_options_of_a_layer_are_its_own():
    stack = Stack(partial(KANLinear, grid=3), 4, 2, width=8, depth=2)
    assert [m.grid for m in stack.modules() if isinstance(m, KANLinear)] == [3, 3]


def test_every_hidden_layer_drops_out():
    torch.manual_seed(0)
    stack = Stack(nn.Linear, 4, 2, width=1000, depth=2, dropout=0.4).train()
    first, second = stack.hidden[:3], stack.hidden[3:]
    hidden = first(torch.randn(20, 4))
    for h in (hidden, second(hidden)):
        assert (h == 0).float().mean().item() == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}, {"last": 0}, {"dropout": 1.0}])
def test_bad_arguments_are_named(wrong):
    (name,) = wrong
    with pytest.raises(LaminaError, match=f"^{name}={wrong[name]}: {name} has to be"):
        Stack(nn.Linear, 4, 2, **{"width": 8, **wrong})
