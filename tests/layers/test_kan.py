import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from lamina.layers import KANLinear


def reference(x: np.ndarray, grid: int, limit: float, derivative: int = 0) -> np.ndarray:
    """The ``grid + 3`` cubic B-splines at `x` by scipy, on knots three intervals beyond the grid."""
    knots = np.arange(-3, grid + 4) * (2 * limit / grid) - limit
    splines = [BSpline(knots, np.eye(grid + 3)[k], 3).derivative(derivative) for k in range(grid + 3)]
    return np.stack([s(x) for s in splines], axis=-1)


@pytest.mark.parametrize(("grid", "limit"), [(1, 1.0), (5, 3.0), (8, 2.5)])
def test_basis_is_that_of_scipy(grid, limit):
    x = torch.linspace(-limit + 1e-9, limit - 1e-9, 301, dtype=torch.float64)
    found = KANLinear(1, 1, grid=grid, limit=limit).double().basis(x)
    np.testing.assert_allclose(found, reference(x.numpy(), grid, limit), atol=1e-10)


@pytest.mark.parametrize("grid", [1, 5])
def test_derivative_of_basis_is_that_of_scipy(grid):
    x = torch.linspace(-2.99, 2.99, 101, dtype=torch.float64, requires_grad=True)
    basis = KANLinear(1, 1, grid=grid).double().basis(x)
    found = torch.stack([torch.autograd.grad(b.sum(), x, retain_graph=True)[0] for b in basis.T], dim=-1)
    np.testing.assert_allclose(found, reference(x.detach().numpy(), grid, 3.0, derivative=1), atol=1e-10)


def test_layer_is_the_sum_over_edges():
    layer = KANLinear(3, 2, grid=4).double()
    x = np.random.default_rng(0).normal(size=(7, 3))
    w = layer.weight.detach().numpy()
    silu = x / (1 + np.exp(-x))
    expected = silu @ w[..., 0].T + np.einsum("bik,oik->bo", reference(x.clip(-3, 3), 4, 3.0), w[..., 1:])
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-10)


def test_splines_sum_to_one_and_stay_constant_beyond_the_grid():
    layer = KANLinear(1, 1).double()
    x = torch.tensor([-1e6, -10.0, -3.0, 0.1, 3.0, 10.0, 1e6], dtype=torch.float64)
    basis = layer.basis(x)
    torch.testing.assert_close(basis.sum(-1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(basis[0], basis[2])
    torch.testing.assert_close(basis[-1], basis[4])


def test_initial_variance_is_kept():
    torch.manual_seed(0)
    y = KANLinear(200, 100)(torch.randn(500, 200))
    assert 0.8 < y.var().item() < 1.3
