import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lamina.layers.monet import MuLinear


def seeded(seed, *args, **options):
    torch.manual_seed(seed)
    return MuLinear(*args, **options).double()


def test_formula():
    layer = seeded(0, 5, 20)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    w, bias, b, b0, c, c0 = (p.detach().numpy() for p in layer.parameters())
    assert (w.shape, b.shape) == ((22, 5), (20, 2))
    x = np.random.default_rng(0).normal(size=(6, 5))
    first, second = x @ w[:20].T + bias[:20], (x @ w[20:].T + bias[20:]) @ b.T + b0
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), (first * second) @ c.T + c0, atol=1e-12)


def test_starts_with_the_shortcut_of_the_paper():
    layer = seeded(1, 6, 4)
    x = torch.randn(7, 6, dtype=torch.float64)
    a, d = layer.weight[:6], layer.weight[6:]
    plain = x @ a.T
    expected = (plain * (x @ d.T @ layer.factor_weight.T) + plain) @ layer.out_weight.T
    assert torch.allclose(layer(x), expected, atol=1e-12)


def along_a_line(seed, depth):
    """The sizes of the Chebyshev coefficients along a random line through a network without normalisation."""
    torch.manual_seed(seed)
    network = nn.Sequential(*(MuLinear(4, 4) for _ in range(depth))).double()
    t = np.cos(np.pi * (np.arange(24) + 0.5) / 24)
    start, direction = torch.randn(2, 4, dtype=torch.float64)
    y = network(start + 3 * torch.tensor(t)[:, None] * direction).detach().numpy()
    sizes = np.abs(np.polynomial.chebyshev.chebfit(t, y, 23)).max(1)
    return sizes / sizes.max()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), depth=st.integers(1, 3))
def test_no_degree_is_above_2_to_the_depth(seed, depth):
    assert along_a_line(seed, depth)[2**depth + 1 :].max() < 1e-11


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_depth_doubles_the_degree(depth):
    assert along_a_line(0, depth)[2**depth] > 1e-6


@pytest.mark.parametrize(("expansion", "bias"), [(1, True), (3, False)])
def test_from_linear(expansion, bias):
    linear = nn.Linear(5, 3, bias=bias).double()
    layer = MuLinear.from_linear(linear, expansion=expansion)
    x = torch.randn(9, 5, dtype=torch.float64)
    assert torch.allclose(layer(x), linear(x), atol=1e-12)
    (gradient,) = torch.autograd.grad(layer(x).square().sum(), layer.factor_weight)
    assert gradient.abs().max() > 0


def test_outputs_start_with_unit_variance():
    y = seeded(2, 256, 256)(torch.randn(2_000, 256, dtype=torch.float64))
    assert 0.8 < y.var().item() < 1.2
