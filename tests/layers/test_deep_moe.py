import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lamina.layers.deep_moe import DeepMoELinear


def made(**options):
    torch.manual_seed(0)
    layer = DeepMoELinear(5, 3, **options).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer, torch.randn(7, 5, dtype=torch.float64)


def test_formula():
    layer, x = made(experts=2, gate_width=4, activation="tanh")
    w, b, u, u0, v, v0 = (p.detach().numpy() for p in layer.parameters())
    rows = x.numpy()
    scores = np.exp(np.maximum(rows @ u.T + u0, 0) @ v.T + v0)
    gate = scores / scores.sum(1, keepdims=True)
    experts = [np.tanh(rows @ w[3 * e : 3 * e + 3].T + b[3 * e : 3 * e + 3]) for e in range(2)]
    np.testing.assert_allclose(layer(x).detach(), gate[:, :1] * experts[0] + gate[:, 1:] * experts[1], atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(first=st.integers(0, 2), second=st.integers(0, 2))
def test_closed_gates_choose_one_path_of_a_stack(first, second):
    layers = [made(experts=3)[0] for _ in range(2)]
    layers[1] = DeepMoELinear(3, 2, experts=3).double()
    x = expected = torch.randn(6, 5, dtype=torch.float64)
    for layer, expert in zip(layers, (first, second), strict=True):
        nn.init.zeros_(layer.gate_weight)
        layer.gate_bias.data.copy_(torch.where(torch.arange(3) == expert, 0.0, -1e4))
        weight, bias = layer.weight.view(3, -1, layer.in_features)[expert], layer.bias.view(3, -1)[expert]
        expected = (expected @ weight.T + bias).relu()
    assert torch.allclose(layers[1](layers[0](x)), expected, atol=1e-12)


def test_order_of_experts_does_not_matter():
    layer, x = made(experts=4)
    before, order = layer(x), torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        layer.weight.copy_(layer.weight.view(4, 3, 5)[order].flatten(0, 1))
        layer.bias.copy_(layer.bias.view(4, 3)[order].flatten())
        layer.gate_weight.copy_(layer.gate_weight[order])
        layer.gate_bias.copy_(layer.gate_bias[order])
    assert torch.allclose(layer(x), before, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_from_linear(bias):
    linear = nn.Linear(5, 3, bias=bias).double()
    x = torch.randn(7, 5, dtype=torch.float64)
    assert torch.allclose(DeepMoELinear.from_linear(linear, experts=3)(x), linear(x), atol=1e-12)


def test_starts_with_nearly_equal_weights_and_about_unit_variance():
    torch.manual_seed(0)
    layer, x = DeepMoELinear(64, 256).eval(), torch.randn(2_000, 64)
    assert (layer.gate(x) - 0.25).abs().mean() < 0.05
    assert 0.6 < layer(x).var().item() < 1.4


def test_balance_closes_the_gate_of_an_expert_that_has_had_more_than_its_share():
    layer, _ = made(experts=2, margin=1.5)
    nn.init.zeros_(layer.gate_weight)
    layer.gate_bias.data.copy_(torch.tensor([3.0, 0.0]))
    x = torch.randn(12, 5, dtype=torch.float64)
    share = torch.sigmoid(torch.tensor(3.0)).item()
    ahead = (share - 0.5) * torch.arange(12)
    found = layer.train().gate(x)[:, 0]
    assert torch.allclose(found, torch.where(ahead > 1.5, 0.0, share).double())
    assert torch.allclose(layer.train().gate(x.view(3, 4, 5)).flatten(0, 1)[:, 0], found)
    assert torch.allclose(layer.eval().gate(x)[:, 0], torch.full((12,), share, dtype=torch.float64))
    layer.margin = float("inf")
    assert torch.allclose(layer.train().gate(x)[:, 0], torch.full((12,), share, dtype=torch.float64))
