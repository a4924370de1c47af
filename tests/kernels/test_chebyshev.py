import numpy as np
import pytest
import torch

from lamina.kernels.chebyshev import chebyshev, plain_chebyshev


def drawn(*shape):
    return 1.2 * (2 * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_polynomials_are_those_of_numpy(count):
    t = drawn(20, 3)
    expected = np.moveaxis(np.polynomial.chebyshev.chebvander(t.numpy(), count - 1), -1, -2)
    np.testing.assert_allclose(chebyshev(t, count), expected, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 5, 3)])
def test_gradients_of_every_shape_are_those_of_plain_operations(shape, count):
    t = drawn(*shape).requires_grad_()
    g = torch.randn(*shape[:-1], count, shape[-1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((f(t, count) * g).sum() + t.sum(), t) for f in (chebyshev, plain_chebyshev))
    torch.testing.assert_close(ours, theirs)


def test_has_second_derivatives_also_of_members():
    t = drawn(4, 3).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda t: chebyshev(t, 5), t)
    slopes = torch.vmap(torch.func.grad(lambda t: chebyshev(t, 5).square().sum()))(t.detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(plain_chebyshev(t, 5).square().sum(), t)[0])


def test_the_operator_is_well_formed():
    t = drawn(7, 3)
    torch.library.opcheck(torch.ops.lamina.chebyshev.default, (t, 5))
    torch.library.opcheck(torch.ops.lamina.chebyshev_backward.default, (torch.ones(7, 5, 3).double(), t))
