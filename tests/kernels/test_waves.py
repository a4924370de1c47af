import numpy as np
import pytest
import torch

from lamina.kernels import waves as kernel
from lamina.kernels.waves import waves


@pytest.fixture(params=[0, 10_000], ids=["from values", "from angles"])
def _either(request, monkeypatch):
    monkeypatch.setattr(kernel, "_LEAST", request.param)


def angles(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize(("growth", "phase"), [(0.0, 0.0), (1.0, -0.5), (-0.7, 2.0)])
def test_values_and_derivatives_are_those_of_a_complex_exponential(growth, phase):
    z = angles(5, 3).requires_grad_()
    found = waves(z, growth, phase)
    numbers = np.exp((growth + 1j) * z.detach().numpy() + 1j * phase)
    np.testing.assert_allclose(found.detach(), np.concatenate([numbers.real, numbers.imag], 1), atol=1e-14)
    (gradient,) = torch.autograd.grad(found[:, :3].sum() - 2 * found[:, 3:].sum(), z)
    np.testing.assert_allclose(gradient, ((growth + 1j) * numbers * (1 + 2j)).real, atol=1e-13)
    assert torch.autograd.gradcheck(lambda z: waves(z, growth, phase), (z,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda z: waves(z, growth, phase), (z,))


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 4, 3), (2, 0)])
def test_angles_of_every_shape(shape):
    z = angles(*shape).requires_grad_()
    found = waves(z)
    torch.testing.assert_close(found, torch.cat([z.cos(), z.sin()], -1))
    (gradient,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(gradient, z.cos() - z.sin())


@pytest.mark.usefixtures("_either")
def test_members_of_a_stack():
    z = angles(4, 5, 3)
    slope = torch.func.grad(lambda z: waves(z, 1.0).square().sum())
    torch.testing.assert_close(torch.vmap(waves, in_dims=1, out_dims=1)(z), waves(z))
    torch.testing.assert_close(torch.vmap(slope)(z), 2 * (2 * z).exp())
