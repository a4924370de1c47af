import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from lamina.kernels.bumps import bumps, plain_bumps

FUNCTIONS = {
    "spline": lambda v: np.nan_to_num(BSpline.basis_element(np.arange(-2, 3), extrapolate=False)(v)),
    "radial": lambda v: np.exp(-(v**2)),
    "wavelet": lambda v: (1 - v**2) * np.exp(-(v**2) / 2),
    "relu": lambda v: np.maximum(1 - (v / 2) ** 2, 0) ** 2,
}


def places(*shape):
    return 7 * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_formula(kind):
    u = places(50, 3)
    v = np.clip(u.numpy(), 0, 5)[:, None] - (np.arange(1, 9) - 2)[:, None]
    np.testing.assert_allclose(bumps(u, kind, 5, 3), FUNCTIONS[kind](v), atol=1e-12)


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 5, 3), (5_000, 3), (1, 30_000)])
def test_tiles_of_every_shape_are_the_plain_operations(kind, shape):
    u = places(*shape)
    u.view(-1)[:2] = torch.tensor([0, 5])[: u.numel()]  # the ends of the grid
    u.requires_grad_()
    ours, theirs = bumps(u, kind, 5, 3), plain_bumps(u, kind, 5, 3)
    torch.testing.assert_close(ours, theirs)
    g = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = (torch.autograd.grad(y, u, g) for y in (ours, theirs))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_has_second_derivatives(kind):
    assert torch.autograd.gradgradcheck(lambda u: bumps(u, kind, 4, 2), places(5, 2).requires_grad_())


def test_members_of_a_stack():
    u = places(3, 6, 2)
    torch.testing.assert_close(
        torch.vmap(lambda u: bumps(u, "wavelet", 5, 3), 1)(u), bumps(u.transpose(0, 1), "wavelet", 5, 3)
    )


def test_the_operator_is_well_formed():
    u = places(7, 3)
    torch.library.opcheck(torch.ops.lamina.bumps.default, (u, "wavelet", 5, 3))
    torch.library.opcheck(torch.ops.lamina.bumps_backward.default, (torch.ones(7, 8, 3).double(), u, "wavelet", 5, 3))


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_what_is_not_a_number_has_functions_that_are_not(kind):
    u = torch.tensor([[1.0, torch.nan]])
    found = bumps(u, kind, 5, 3)
    assert found[..., 1].isnan().all()
    torch.testing.assert_close(found[..., 0], plain_bumps(u, kind, 5, 3)[..., 0])
