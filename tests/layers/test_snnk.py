import math

import numpy as np
import pytest
import torch
from torch import nn

from lamina.errors import LaminaError
from lamina.layers import SNNKLinear


def made(*sizes, seed=0, **options):
    torch.manual_seed(seed)
    return SNNKLinear(*sizes, **options).double()


def hat(x):
    """The inputs and a constant, at length 1."""
    whole = np.concatenate([x, np.full((len(x), 1), math.sqrt(x.shape[1]))], axis=1)
    return whole / np.linalg.norm(whole, axis=1, keepdims=True)


@pytest.mark.parametrize("depth", [1, 2])
def test_formula(depth):
    layer = made(5, 3, terms=4, depth=depth)
    h = x = np.random.default_rng(0).normal(size=(6, 5))
    for i in range(depth):
        draws = layer.get_buffer(f"draws{i}").numpy() * math.sqrt(2)
        draws[:, -1] /= math.sqrt(h.shape[1])
        terms = np.exp(np.sqrt(1j) * hat(h) @ draws.T - 0.5j)
        h = np.concatenate([terms.real, terms.imag], axis=1)
    expected = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_estimates_are_unbiased(bias):
    torch.manual_seed(0)
    linear = nn.Linear(4, 3, bias=bias, dtype=torch.float64)
    x = torch.randn(10, 4, dtype=torch.float64)
    exact = linear(x / (x.square().sum(1, keepdim=True) + 4).sqrt()).sin()
    estimate = SNNKLinear.estimating(linear, terms=400_000)(x)
    torch.testing.assert_close(estimate, exact, rtol=0.0, atol=0.03)


def test_the_variance_of_an_estimate():
    """With u = w + x: E |z|^2 = exp(|u|^2) and E z^2 = exp(i (|u|^2 + 2 w x + 2 b)) for a term z; the sine is Im z."""
    torch.manual_seed(0)
    linear = nn.Linear(3, 1, dtype=torch.float64)
    nn.init.constant_(linear.weight, -0.2)
    x, terms = np.ones((1, 3)), 1_000_000
    layer = SNNKLinear.estimating(linear, terms=terms)
    w, b = np.array([-0.2, -0.2, -0.2, 0.0]), linear.bias.item()
    product, square = (hat(x) @ w).item(), float(((hat(x) + w) ** 2).sum())
    expected = (math.exp(square) - math.cos(square + 2 * product + 2 * b)) / 2 - math.sin(product + b) ** 2
    parts = terms * layer.features(torch.tensor(x)) * layer.weight.detach()
    assert math.isclose(parts.view(2, terms).sum(0).var().item(), expected, rel_tol=0.05)


def test_bounded_however_large_the_input():
    layer = made(3, 2)
    x = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(layer.features(1e12 * x), layer.features(1e15 * x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2])
def test_the_solution_is_a_minimum(depth):
    layer, ridge = made(3, 2, terms=10, depth=depth), 0.01
    x, y = torch.randn(100, 3, dtype=torch.float64), torch.randn(100, 2, dtype=torch.float64)
    layer.solve(x, y, ridge=ridge)
    ((layer(x) - y).square().sum() + ridge * layer.weight.square().sum()).backward()
    for p in layer.parameters():
        torch.testing.assert_close(p.grad, torch.zeros_like(p), rtol=0.0, atol=1e-8)
    with pytest.raises(LaminaError, match="ridge"):
        layer.solve(x, y, ridge=-1.0)


def test_the_number_of_parameters_does_not_depend_on_the_inputs():
    assert {sum(p.numel() for p in SNNKLinear(n, 10, terms=8).parameters()) for n in (1, 10, 100)} == {170}


@pytest.mark.parametrize("depth", [1, 3])
def test_standard_inputs_give_a_variance_of_one(depth):
    y = made(50, 500, terms=1_000, depth=depth)(torch.randn(500, 50, dtype=torch.float64)).detach()
    assert math.isclose(y.square().mean().item(), 1.0, abs_tol=0.2)
