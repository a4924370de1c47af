import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm, expm_frechet
from torch import Tensor

from lamina.kernels.matrix_exponential import matrix_exp


def matrices(*shape: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def error(found: Tensor, expected: Tensor) -> float:
    """The largest of all matrices, over the size of its own."""
    norm = torch.linalg.matrix_norm
    return float((norm(found - expected) / norm(expected)).max())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("scale", [0.0, 1e-3, 0.3, 1.0, 5.0])
def test_values_and_derivatives_are_those_of_scipy(n, scale):
    a, g = matrices(20, n, n, scale=scale).requires_grad_(), matrices(20, n, n, seed=1)
    found = matrix_exp(a)
    assert error(found.detach(), torch.from_numpy(expm(a.detach().numpy()))) < 1e-12
    slopes = [expm_frechet(m.T, d, compute_expm=False) for m, d in zip(a.detach().numpy(), g.numpy(), strict=True)]
    (gradient,) = torch.autograd.grad(found, a, g)
    assert error(gradient, torch.from_numpy(np.stack(slopes))) < 1e-12


def test_single_precision_is_as_good_as_that_of_torch():
    for scale in (0.1, 1.0, 3.0):
        a = matrices(500, 4, 4, scale=scale)
        exact = torch.linalg.matrix_exp(a)
        assert error(matrix_exp(a.float()).double(), exact) < 2 * error(
            torch.linalg.matrix_exp(a.float()).double(), exact
        )


def test_a_matrix_does_not_depend_on_those_beside_it():
    a = matrices(6, 3, 3)
    alone = matrix_exp(a)
    a[2] *= 1e3
    a[4] = math.nan
    beside = matrix_exp(a)
    torch.testing.assert_close(beside[[0, 1, 3, 5]], alone[[0, 1, 3, 5]], rtol=1e-15, atol=1e-15)
    assert beside[4].isnan().all()


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 3), (2, 5, 3, 3), (700, 8, 8), (4, 9, 9)])
def test_matrices_of_every_shape(shape):
    a = matrices(*shape, scale=0.5).requires_grad_()
    torch.testing.assert_close(matrix_exp(a), torch.linalg.matrix_exp(a))
    g = matrices(*shape, seed=1)
    ours, theirs = (torch.autograd.grad(f(a), a, g) for f in (matrix_exp, torch.linalg.matrix_exp))
    torch.testing.assert_close(ours, theirs)


def test_it_can_be_differentiated_again_and_forwards():
    a, t = matrices(2, 3, 3).requires_grad_(), matrices(2, 3, 3, seed=1)
    assert torch.autograd.gradgradcheck(matrix_exp, (a,))
    along = [torch.func.jvp(f, (a.detach(),), (t,)) for f in (matrix_exp, torch.linalg.matrix_exp)]
    torch.testing.assert_close(*along)


def test_a_stack_of_members_is_more_matrices():
    a = matrices(5, 4, 3, 3)
    torch.testing.assert_close(torch.vmap(matrix_exp, in_dims=1, out_dims=1)(a), torch.linalg.matrix_exp(a))


def test_the_operators_are_well_formed():
    for shape in ((4, 3, 3), (2, 4, 3, 3)):
        torch.library.opcheck(torch.ops.lamina.matrix_exp.default, (matrices(*shape),))
        inputs = (matrices(*shape, seed=1), matrices(*shape))
        torch.library.opcheck(torch.ops.lamina.matrix_exp_backward.default, inputs)


def test_matrices_that_are_not_square_are_refused():
    with pytest.raises(RuntimeError, match="square"):
        matrix_exp(torch.ones(1, 3, 2))
