import numpy as np
import pytest
import torch
from torch import Tensor

from lamina.kernels import unit_waves as kernel
from lamina.kernels.unit_waves import unit_waves

WAVE = 0.7, -0.5  # growth and phase


@pytest.fixture(params=[0, 10_000], ids=["many", "few"], autouse=True)
def _either(request, monkeypatch):
    monkeypatch.setattr(kernel, "_LEAST", request.param)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def waves_of(x: Tensor, weight: Tensor) -> Tensor:
    """The definition, by complex numbers."""
    whole = torch.cat([x, x.new_full((*x.shape[:-1], 1), x.shape[-1] ** 0.5)], -1)
    z = whole @ weight.mT / whole.norm(dim=-1, keepdim=True)
    y = ((WAVE[0] + 1j) * z + 1j * WAVE[1]).exp()
    return torch.cat([y.real, y.imag], -1)


@pytest.mark.parametrize("shape", [(3,), (0, 3), (6, 3), (2, 4, 3)])
def test_values_and_derivatives_are_those_of_the_definition(shape):
    x, weight = numbers(*shape).requires_grad_(), numbers(5, 4, seed=1)
    ours, theirs = unit_waves(x, weight, *WAVE), waves_of(x, weight)
    np.testing.assert_allclose(ours.detach(), theirs.detach(), atol=1e-14)
    g = numbers(*ours.shape, seed=2)
    slopes = [torch.autograd.grad(y, x, g) for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-13)


def test_it_can_be_differentiated_again_and_forwards():
    x, weight = numbers(6, 3).requires_grad_(), numbers(5, 4, seed=1)
    assert torch.autograd.gradcheck(lambda x: unit_waves(x, weight, *WAVE), (x,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda x: unit_waves(x, weight, *WAVE), (x,))


def test_members_of_a_stack_have_weights_of_their_own():
    x, weight = numbers(4, 6, 3), numbers(4, 5, 4, seed=1)
    torch.testing.assert_close(torch.vmap(lambda x, w: unit_waves(x, w, *WAVE))(x, weight), waves_of(x, weight))

    def loss(x: Tensor, weight: Tensor) -> Tensor:
        return unit_waves(x, weight, *WAVE).pow(3).sum()

    slopes = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(x[0], weight)
    torch.testing.assert_close(slopes, torch.stack([torch.func.grad(loss)(x[0], w) for w in weight]))


def test_the_operators_are_well_formed():
    for members in ((), (2,)):
        x, weight = numbers(*members, 6, 3), numbers(*members, 5, 4, seed=1)
        torch.library.opcheck(torch.ops.lamina.unit_waves.default, (x, weight, *WAVE))
        y, z = torch.ops.lamina.unit_waves(x, weight, *WAVE)
        torch.library.opcheck(torch.ops.lamina.unit_waves_backward.default, (y, x, weight, y, z, WAVE[0]))
