import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline
from torch import nn

from lamina.errors import LaminaError
from lamina.layers import KANLinear
from lamina.layers.bases import BASES


def made(*sizes: int, seed: int = 0, **options) -> KANLinear:
    torch.manual_seed(seed)
    layer = KANLinear(*sizes, **options).double()
    with torch.no_grad():
        layer.weight.normal_()
    return layer


def between(layer: KANLinear, rows: int = 200) -> torch.Tensor:
    """Places within the grid of each input."""
    share = torch.rand(rows, layer.in_features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return layer.low + share * (layer.high - layer.low)


def test_layer_is_the_sum_over_edges():
    layer = made(3, 2, grid=4)
    x = between(layer)
    w = layer.weight.detach().numpy()
    knots = np.arange(-3, 8) * 1.5 - 3
    splines = np.stack([BSpline(knots, np.eye(7)[k], 3)(x.numpy()) for k in range(7)], axis=1)
    silu = (x * x.sigmoid()).numpy()
    expected = silu @ w[:, 0].T + np.einsum("bki,oki->bo", splines, w[:, 1:])
    np.testing.assert_allclose(layer(x).detach(), expected, atol=1e-10)


@pytest.mark.parametrize("basis", BASES)
def test_every_basis_is_the_one_of_its_name(basis):
    layer = made(2, 3, grid=4, degree=2, basis=basis)
    x = between(layer)
    functions, silu = BASES[basis]((x + 3) * (4 / 6), 4, 2), nn.functional.silu(x)
    expected = torch.einsum("bki,oki->bo", functions, layer.weight[:, 1:]) + silu @ layer.weight[:, 0].T
    torch.testing.assert_close(layer(x), expected)


@settings(max_examples=25)
@given(grid=st.integers(1, 8), times=st.integers(1, 5), degree=st.integers(1, 5), seed=st.integers(0, 99))
def test_a_finer_grid_is_the_same_function(grid, times, degree, seed):
    layer = made(3, 2, grid=grid, degree=degree, seed=seed)
    fine = layer.refine(grid * times)
    x = torch.cat([between(layer), between(layer) * 3])
    assert fine.grid == grid * times
    assert (fine(x) - layer(x)).abs().max() < 1e-6


@pytest.mark.parametrize("basis", ["chebyshev", "legendre", "fourier", "rational"])
def test_more_functions_of_a_nested_basis_are_the_same_function(basis):
    layer = made(2, 2, grid=3, basis=basis)
    x = between(layer)
    finer = layer.refine(9 if basis != "fourier" else 3)
    assert (finer(x) - layer(x)).abs().max() < 1e-6


def test_an_adapted_grid_reaches_over_the_data_and_keeps_the_function():
    layer = made(2, 3, grid=5, limit=2.0)
    x = torch.stack([torch.linspace(-1, 0.5, 50), torch.linspace(-1.9, 1.9, 50)], 1).double()
    layer = layer.refine(40)  # fine enough to carry the old splines between new knots
    fitted = layer.adapt(x)
    torch.testing.assert_close(fitted.low, x.amin(0))
    torch.testing.assert_close(fitted.high, x.amax(0))
    assert (fitted(x) - layer(x)).abs().max() < 0.02 * layer(x).std()


def test_a_polynomial_survives_any_grid_exactly():
    layer = KANLinear.from_linear(nn.Linear(2, 3).double(), grid=4)
    x = torch.tensor([[-1.0, 0.2], [1.7, -2.9]], dtype=torch.float64)
    assert (layer.adapt(x).refine(7)(x) - layer(x)).abs().max() < 1e-6


def test_it_starts_as_a_linear_layer_within_the_grid():
    linear = nn.Linear(4, 3).double()
    layer = KANLinear.from_linear(linear, grid=6, degree=2, limit=2.0)
    x = between(layer)
    torch.testing.assert_close(layer(x), linear(x))
    unbiased = nn.Linear(4, 3, bias=False).double()
    torch.testing.assert_close(KANLinear.from_linear(unbiased)(x), unbiased(x))


def test_data_without_a_range_are_refused():
    layer = KANLinear(2, 1)
    for x in (torch.zeros(0, 2), torch.tensor([[1.0, 2.0], [1.0, 3.0]])):
        with pytest.raises(LaminaError, match="at least two different values"):
            layer.adapt(x)


def test_an_unknown_basis_is_answered_with_the_closest():
    with pytest.raises(LaminaError, match="chebyshev"):
        KANLinear(2, 1, basis="chebychev")


def test_initial_variance_is_kept():
    torch.manual_seed(0)
    y = KANLinear(200, 100)(torch.randn(500, 200))
    assert 0.8 < y.var().item() < 1.3


def test_on_the_meta_device_shapes_are_known():
    layer = KANLinear(4, 3).to("meta")
    assert layer(torch.empty(5, 4, device="meta")).shape == (5, 3)
