import math

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge

from lamina.errors import LaminaError
from lamina.layers import RandomFeaturesLinear


def made(*sizes, seed=0, **options):
    torch.manual_seed(seed)
    return RandomFeaturesLinear(*sizes, **options).double()


def nngp(a, b, depth):
    """The kernel of infinitely many ReLU units, weights of variance 1 / inputs and biases of variance 1."""
    cross, left, right = a @ b.T / a.shape[1], (a**2).mean(1), (b**2).mean(1)
    for _ in range(depth):
        cross, left, right = cross + 1, left + 1, right + 1
        norms = np.sqrt(np.outer(left, right))
        cosine = np.clip(cross / norms, -1, 1)
        angle = np.arccos(cosine)
        cross = norms * (np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine) / (2 * np.pi)
        left, right = left / 2, right / 2
    return cross


@pytest.mark.parametrize("depth", [1, 2])
def test_formula(depth):
    layer = made(5, 3, hidden=7, depth=depth, activation="tanh")
    h = x = np.random.default_rng(0).normal(size=(6, 5))
    for i in range(depth):
        w, b = (layer.get_buffer(f"frozen_{name}{i}").numpy() for name in ("weight", "bias"))
        h = np.tanh(h @ w.T + b)
    expected = h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_many_units_have_the_kernel_of_the_gaussian_process(depth):
    x = np.random.default_rng(0).normal(size=(20, 4))
    h = made(4, 1, hidden=4_000, depth=depth).features(torch.tensor(x)).numpy()
    np.testing.assert_allclose(h @ h.T / 4_000, nngp(x, x, depth), atol=0.25)


def test_with_many_units_the_solution_is_kernel_ridge_regression():
    rng = np.random.default_rng(0)
    x, new, y = rng.normal(size=(40, 3)), rng.normal(size=(50, 3)), rng.normal(size=40)
    kernel, across = nngp(x, x, 1), nngp(new, x, 1)
    # a free bias is a kernel that is centred on the rows
    centre = np.eye(40) - 1 / 40
    ridge = KernelRidge(alpha=0.5, kernel="precomputed")  # pyright: ignore[reportArgumentType]
    exact = ridge.fit(centre @ kernel @ centre, y - y.mean())
    expected = y.mean() + exact.predict((across - kernel.mean(0)) @ centre)
    layer = made(3, 1, hidden=200_000)
    layer.solve(torch.tensor(x), torch.tensor(y)[:, None], ridge=0.5)
    np.testing.assert_allclose(layer(torch.tensor(new))[:, 0].detach(), expected, atol=0.02)


@pytest.mark.parametrize("rows", [10, 100])
def test_the_solution_is_a_minimum(rows):
    """With fewer rows than units and with more."""
    layer, ridge = made(3, 2, hidden=30), 0.01
    x, y = torch.randn(rows, 3, dtype=torch.float64), torch.randn(rows, 2, dtype=torch.float64)
    layer.solve(x, y, ridge=ridge)
    loss = (layer(x) - y).square().sum() + ridge * layer.hidden * layer.weight.square().sum()
    loss.backward()
    for p in layer.parameters():
        torch.testing.assert_close(p.grad, torch.zeros_like(p), rtol=0.0, atol=1e-9)


def test_a_small_penalty_interpolates():
    layer = made(3, 2, hidden=200)
    x, y = torch.randn(30, 3, dtype=torch.float64), torch.randn(30, 2, dtype=torch.float64)
    layer.solve(x, y, ridge=1e-10)
    torch.testing.assert_close(layer(x), y, rtol=0.0, atol=1e-4)


def test_frozen_weights_get_no_gradient_and_are_in_the_state():
    layer = made(3, 2, depth=2)
    assert {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
    assert {"frozen_weight0", "frozen_bias1"} <= set(layer.state_dict())
    with pytest.raises(LaminaError, match="ridge"):
        layer.solve(torch.zeros(4, 3).double(), torch.zeros(4, 2).double(), ridge=0.0)


@pytest.mark.parametrize("depth", [1, 4])
def test_standard_inputs_give_a_mean_square_of_one(depth):
    y = made(50, 500, hidden=2_000, depth=depth)(torch.randn(500, 50, dtype=torch.float64)).detach()
    assert math.isclose(y.square().mean().item(), 1.0, abs_tol=0.15)
