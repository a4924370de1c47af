import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.layers.af_kan import AFKANLinear
from lamina.layers.bases import BASES


def silu(z):
    return z / (1 + np.exp(-z))


def test_formula():
    torch.manual_seed(0)
    layer = AFKANLinear(5, 3, grid=2, degree=2).double()
    for parameter in (layer.start, layer.end, layer.score):
        torch.nn.init.normal_(parameter)
    x = np.random.default_rng(0).normal(size=(4, 5))
    named = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    start, end, score, tau = (named[name] for name in ("start", "end", "score", "temperature"))
    scale, shift, weight = (named[name] for name in ("norm.weight", "norm.bias", "weight"))
    values = (silu(x[..., None] - start) * silu(end - x[..., None])) ** 2
    least, most = values.min((1, 2), keepdims=True), values.max((1, 2), keepdims=True)
    values = (values - least) / (most - least + 1e-6)
    attention = np.exp(values @ score / tau)
    z = 5 * attention / attention.sum(1, keepdims=True) * values.sum(-1)
    z = scale * (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5) + shift
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), silu(z) @ weight.T, atol=1e-10)


def test_starts_as_relu_kan():
    x = torch.linspace(-1, 1, 41, dtype=torch.float64).unsqueeze(-1)
    layer = AFKANLinear(1, 1, grid=4, degree=3, activation="relu").double()
    ours = ((x - layer.start).relu() * (layer.end - x).relu()).square().unsqueeze(-1)
    torch.testing.assert_close(ours / ours.max(), BASES["relu"](2 * (x + 1), 4, 3))


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)))
def test_order_of_inputs_is_a_matter_of_the_weights(order):
    torch.manual_seed(0)
    layer, x = AFKANLinear(6, 4).double(), torch.randn(3, 6, dtype=torch.float64)
    expected = layer(x)
    with torch.no_grad():
        layer.weight.copy_(layer.weight[:, order])
    torch.testing.assert_close(layer(x[:, order]), expected)


def test_has_unit_variance():
    torch.manual_seed(0)
    y = AFKANLinear(256, 256)(torch.randn(500, 256))
    assert y.square().mean().item() == pytest.approx(1.0, abs=0.25)


def test_has_about_as_many_parameters_as_a_dense_layer():
    assert sum(p.numel() for p in AFKANLinear(64, 64).parameters()) == 64 * 64 + 2 * 64 + 3 * 6 + 1
