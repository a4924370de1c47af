import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from lamina.kernels.bspline import bspline, spline_edges


def reference(x: np.ndarray, low: float, high: float, grid: int, degree: int, derivative: int = 0) -> np.ndarray:
    """The B-splines at `x` by scipy, on knots `degree` intervals beyond the grid, along the last but one dimension."""
    knots = np.arange(-degree, grid + degree + 1) * ((high - low) / grid) + low
    splines = [BSpline(knots, np.eye(grid + degree)[k], degree).derivative(derivative) for k in range(grid + degree)]
    return np.stack([s(x) for s in splines], axis=-2)


def places(rows: int, features: int, low: float, high: float) -> torch.Tensor:
    share = torch.rand(rows, features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return low + 1e-6 + share * (high - low - 2e-6)


def grid_of(features: int, low: float, high: float, grid: int) -> tuple[torch.Tensor, torch.Tensor]:
    kind = {"size": (features,), "dtype": torch.float64}
    return torch.full(fill_value=low, **kind), torch.full(fill_value=grid / (high - low), **kind)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("grid", [1, 5, 12])
def test_operator_has_the_splines_of_scipy(degree, grid):
    x = places(50, 3, -1.5, 2.0)
    edges = spline_edges(x, *grid_of(3, -1.5, 2.0, grid), grid, degree)
    np.testing.assert_allclose(edges[:, 1:], reference(x.numpy(), -1.5, 2.0, grid, degree), atol=1e-12)
    np.testing.assert_allclose(edges[:, 0], torch.nn.functional.silu(x))


@pytest.mark.parametrize(("degree", "tolerance"), [(1, 1e-6), (3, 1e-6), (8, 1e-5)])
def test_single_precision_loses_little(degree, tolerance):
    x = places(200, 2, -3.0, 3.0)
    low, scale = grid_of(2, -3.0, 3.0, 5)
    edges = spline_edges(x.float(), low.float(), scale.float(), 5, degree)
    np.testing.assert_allclose(edges[:, 1:], reference(x.numpy(), -3.0, 3.0, 5, degree), atol=tolerance)


@pytest.mark.parametrize("degree", [2, 3, 5])
def test_first_and_second_derivative_are_those_of_scipy(degree):
    x = places(40, 1, -1.0, 1.0).requires_grad_()
    edges = spline_edges(x, *grid_of(1, -1.0, 1.0, 6), 6, degree)[:, 1:, 0]
    for k, spline in enumerate(edges.T):
        (slope,) = torch.autograd.grad(spline.sum(), x, create_graph=True)
        expected = reference(x.detach().numpy(), -1, 1, 6, degree, derivative=1)[:, k]
        np.testing.assert_allclose(slope.detach(), expected, atol=1e-9)
        (plain,) = torch.autograd.grad(edges[:, k].sum(), x, retain_graph=True)
        np.testing.assert_allclose(plain, slope.detach(), atol=1e-9)
        (bend,) = torch.autograd.grad(slope.sum(), x, retain_graph=True)
        np.testing.assert_allclose(bend, reference(x.detach().numpy(), -1, 1, 6, degree, derivative=2)[:, k], atol=1e-8)


def test_beyond_the_grid_splines_keep_their_values_and_have_no_slope():
    x = torch.tensor([[-9.0], [-1.0], [1.0], [30.0]], dtype=torch.float64, requires_grad=True)
    edges = spline_edges(x, *grid_of(1, -1.0, 1.0, 4), 4, 3)[:, 1:, 0]
    torch.testing.assert_close(edges[0], edges[1])
    torch.testing.assert_close(edges[3], edges[2])
    (slope,) = torch.autograd.grad(edges[[0, 3]].square().sum(), x)
    assert not slope.any()


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 5, 3), (5_000, 3), (1, 30_000)])
def test_tiles_of_every_shape_are_the_plain_operations(shape):
    features = shape[-1]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    low = torch.linspace(-3, -2, features).double()
    scale = torch.linspace(1, 2, features).double()
    ours = spline_edges(x, low, scale, 5, 3)
    u = ((x - low) * scale).clamp(0, 5)
    v = u.unsqueeze(-2) - torch.arange(-1.0, 7.0, dtype=torch.float64).unsqueeze(-1)
    theirs = torch.cat([torch.nn.functional.silu(x).unsqueeze(-2), bspline(v, 3)], dim=-2)
    torch.testing.assert_close(ours, theirs)
    g = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for a, b in zip(torch.autograd.grad(ours, x, g), torch.autograd.grad(theirs, x, g), strict=True):
        torch.testing.assert_close(a, b)


def test_members_of_a_stack_have_grids_of_their_own():
    x = torch.randn(4, 6, 2, dtype=torch.float64)
    low, scale = -torch.rand(4, 2).double() - 1, torch.rand(4, 2).double() + 1
    together = torch.vmap(lambda *t: spline_edges(*t, 5, 3))(x, low, scale)
    torch.testing.assert_close(together, torch.stack([spline_edges(*t, 5, 3) for t in zip(x, low, scale, strict=True)]))
    shared = torch.vmap(lambda low, scale: spline_edges(x[0], low, scale, 5, 3))(low, scale)
    torch.testing.assert_close(shared[2], spline_edges(x[0], low[2], scale[2], 5, 3))


def test_the_operator_is_well_formed():
    x = places(7, 3, -1.0, 1.0)
    low, scale = grid_of(3, -1.0, 1.0, 5)
    torch.library.opcheck(torch.ops.lamina.spline_edges.default, (x, low, scale, 5, 3))
    torch.library.opcheck(
        torch.ops.lamina.spline_edges_backward.default, (torch.ones(7, 9, 3).double(), x, low, scale, 5, 3)
    )


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_slopes_at_knots_are_those_right_of_them(degree):
    x = torch.linspace(0, 4, 5, dtype=torch.float64).unsqueeze(-1).requires_grad_()  # at every knot
    low, scale = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    edges = spline_edges(x, low, scale, 4, degree)
    for k in range(1, 5 + degree):
        (slope,) = torch.autograd.grad(edges[:, k].sum(), x, retain_graph=True)
        (again,) = torch.autograd.grad(edges[:, k].sum(), x, create_graph=True)
        expected = reference(x.detach().numpy(), 0, 4, 4, degree, derivative=1)[:, k - 1]
        if degree == 1:
            expected[-1] = 0  # the kink at the end of the grid
        np.testing.assert_allclose(slope, expected, atol=1e-12)
        np.testing.assert_allclose(again.detach(), expected, atol=1e-12)


def test_members_of_members_have_grids_of_their_own():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    low, scale = -1 - torch.rand(2, 3, 5).double(), 1 + torch.rand(2, 3, 5).double()
    expected = torch.stack(
        [torch.stack([spline_edges(x[i, j], low[i, j], scale[i, j], 4, 3) for j in range(3)]) for i in range(2)]
    )
    twice = torch.vmap(torch.vmap(lambda *t: spline_edges(*t, 4, 3)))
    torch.testing.assert_close(twice(x, low, scale), expected)
    shared = torch.vmap(torch.vmap(lambda x: spline_edges(x, low[0, 0], scale[0, 0], 4, 3)))(x)
    torch.testing.assert_close(shared, spline_edges(x, low[0, 0], scale[0, 0], 4, 3))
    half = torch.vmap(torch.vmap(lambda x, *t: spline_edges(x, *t, 4, 3), in_dims=(0, None, None)))(
        x, low[:, 0], scale[:, 0]
    )
    torch.testing.assert_close(half[1], spline_edges(x[1], low[1, 0], scale[1, 0], 4, 3))


def test_grids_that_all_features_share_are_plain_operations():
    x, low, scale = torch.randn(6, 3), torch.full((1,), -2.0), torch.ones(1)
    expected = spline_edges(x, low.expand(3), scale.expand(3), 4, 3)
    torch.testing.assert_close(spline_edges(x, low, scale, 4, 3), expected)
