import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.layers.narrow_rnn import NarrowRNN


def drawn(depth: int = 3, width: int = 4) -> NarrowRNN:
    layer = NarrowRNN(2, 3, width=width, depth=depth, dtype=torch.float64).requires_grad_(False)
    generator = torch.Generator().manual_seed(depth)
    for parameter in layer.parameters():
        parameter.normal_(std=0.5, generator=generator)
    return layer


def inputs(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("depth", "tokens"), [(1, 1), (1, 5), (3, 1), (3, 5), (6, 2)])
def test_is_torchs_recurrent_network_between_two_linear_maps(depth, tokens):
    layer, x, d = drawn(depth), inputs(7, tokens), 4
    stack = torch.nn.RNN(d, d, depth, nonlinearity="relu", batch_first=True, dtype=torch.float64).requires_grad_(False)
    for level in range(depth):
        getattr(stack, f"weight_ih_l{level}").copy_(layer.weight[level, :d].T)
        getattr(stack, f"weight_hh_l{level}").copy_(layer.weight[level, d:].T)
        getattr(stack, f"bias_ih_l{level}").copy_(layer.bias[level])
        getattr(stack, f"bias_hh_l{level}").zero_()
    h = stack(x @ layer.lift_weight.T + layer.lift_bias)[0]
    torch.testing.assert_close(layer(x), h @ layer.head_weight.T + layer.head_bias)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(2, 6), st.integers(1, 5))
def test_outputs_know_nothing_of_later_tokens(depth, tokens, place):
    layer, x, place = drawn(depth), inputs(2, tokens), min(place, tokens - 1)
    other = x.clone()
    other[:, place:] += 1
    torch.testing.assert_close(layer(x)[:, :place], layer(other)[:, :place])
    torch.testing.assert_close(layer(x[:, :place]), layer(x)[:, :place])


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_starts_close_to_a_linear_map_of_unit_variance_whatever_the_depth(depth):
    layer = NarrowRNN(3, 64, width=256, depth=depth)
    x = torch.randn(100, 8, 3, generator=torch.Generator().manual_seed(0))
    y = layer(x)
    assert 0.5 < y.var() < 2.5
    direct = x @ layer.lift_weight.T @ layer.head_weight.T
    assert torch.corrcoef(torch.stack([y.flatten(), direct.flatten()]))[0, 1] > 0.5


def test_width_is_that_of_the_theorem():
    assert NarrowRNN(2, 5).width == 10
    with pytest.raises(LaminaError, match="width"):
        NarrowRNN(1, 1, width=0)
