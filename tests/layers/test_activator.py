import numpy as np
import pytest
import torch
from scipy.special import erf

from lamina.layers import ActivatorLinear


def norm(z, weight, bias):
    return (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5) * weight + bias


def test_formula():
    layer = ActivatorLinear(3, 4, expansion=3).double()
    for parameter in (layer.bias, layer.norm_weight, layer.norm_bias, layer.out_bias):
        torch.nn.init.normal_(parameter)
    x = np.random.default_rng(0).normal(size=(5, 3))
    w, b, scale, shift, out, c = (p.detach().numpy() for p in layer.parameters())
    z = x @ w.T + b
    gate = z[:, :12] * (1 + erf(z[:, :12] / np.sqrt(2))) / 2
    expected = norm(gate, scale, shift) * norm(z[:, 12:], scale, shift) @ out.T + c
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-12)


def test_the_size_of_the_input_does_not_matter_without_biases():
    layer = ActivatorLinear(8, 8).double()
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = torch.nn.functional.linear(x, layer.weight).chunk(2, -1)[1]
    scaled = torch.nn.functional.linear(1e4 * x, layer.weight).chunk(2, -1)[1]
    np.testing.assert_allclose(norm(value.detach().numpy(), 1, 0), norm(scaled.detach().numpy(), 1, 0), rtol=1e-4)
    big, bigger = layer(1e4 * x), layer(1e6 * x)
    torch.testing.assert_close(big, bigger, rtol=1e-5, atol=1e-5)


def test_tokens_do_not_mix():
    layer = ActivatorLinear(4, 4).double()
    x = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    layer(x)[0, 2].sum().backward()
    assert x.grad is not None
    assert x.grad[0].abs().sum(-1).nonzero().flatten().tolist() == [2]


def test_starts_with_unit_variance():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = ActivatorLinear(64, 64)(torch.randn(2_000, 64)).var().item()
    assert found == pytest.approx(1.0, abs=0.15)
