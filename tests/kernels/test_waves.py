import numpy as np
import pytest
import torch

from lamina.kernels.waves import waves


def angles(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


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


@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 4, 3), (2, 0)])
def test_angles_of_every_shape(shape):
    z = angles(*shape).requires_grad_()
    found = waves(z)
    torch.testing.assert_close(found, torch.cat([z.cos(), z.sin()], -1))
    (gradient,) = torch.autograd.grad(found.sum(), z)
    torch.testing.assert_close(gradient, z.cos() - z.sin())


def test_members_of_a_stack():
    z = angles(4, 5, 3)
    slope = torch.func.grad(lambda z: waves(z, 1.0).square().sum())
    torch.testing.assert_close(torch.vmap(waves, in_dims=1, out_dims=1)(z), waves(z))
    torch.testing.assert_close(torch.vmap(torch.vmap(waves), in_dims=1, out_dims=1)(z), waves(z))
    torch.testing.assert_close(torch.vmap(slope)(z), 2 * (2 * z).exp())


@pytest.mark.parametrize("growth", [0.0, 1.0])
def test_angles_of_all_sizes_and_what_is_not_a_number(growth):
    """Of far angles, the compiled loops give way to the functions of torch."""
    for far in (1.0, 2.0**13, 2.0**13 + 1, 1e9, -3e15, torch.inf, torch.nan):
        z = torch.tensor([[0.5, far], [1.5, -2.5]], dtype=torch.float64)
        expected = torch.cat([z.cos(), z.sin()], -1) * (growth * z).exp().repeat(1, 2)
        torch.testing.assert_close(waves(z, growth), expected, equal_nan=True)
        torch.testing.assert_close(waves(z.float())[:, :2], z.float().cos(), equal_nan=True)


@pytest.mark.parametrize("phase", [30.0, 1e5, -1e20])
def test_phases_of_all_sizes(phase):
    z = angles(5, 3)
    torch.testing.assert_close(waves(z, phase=phase), torch.cat([(z + phase).cos(), (z + phase).sin()], -1))


def test_numbers_of_half_precision_and_of_no_content():
    z = angles(4, 3).bfloat16().requires_grad_()
    found = waves(z, 1.0, 0.5)
    torch.testing.assert_close(found.float(), waves(z.float(), 1.0, 0.5), rtol=0.02, atol=0.02)
    (gradient,) = torch.autograd.grad(found.sum(), z)
    assert gradient.dtype == torch.bfloat16
    empty = torch.empty(4, 3, device="meta", requires_grad=True)
    assert torch.autograd.grad(waves(empty).sum(), empty)[0].shape == (4, 3)


def test_a_compiled_function_of_waves():
    z = angles(4, 3).requires_grad_()
    f = torch.compile(lambda z: waves(z, 1.0, 0.5).square().sum(), fullgraph=True)
    torch.testing.assert_close(torch.autograd.grad(f(z), z)[0], 2 * (2 * z.detach()).exp())
