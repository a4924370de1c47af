import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.training.muon import COEFFICIENTS, Muon, orthogonalise
from lamina.training.optimiser import SGD

ROUNDING = 2**-7  # between neighbouring numbers of bfloat16, of numbers from 1 to 2


def by_singular_values(matrix):
    """The iteration on the singular values alone, in double precision."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    s = s / s.norm()
    a, b, c = COEFFICIENTS
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    return u * s @ v


@given(rows=st.integers(1, 40), columns=st.integers(1, 40), scale=st.floats(-6, 6), seed=st.integers(0, 1000))
@settings(max_examples=40)
def test_the_iteration_acts_on_the_singular_values(rows, columns, scale, seed):
    u, _, v = torch.linalg.svd(
        torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(seed)), full_matrices=False
    )
    # Every iteration multiplies small singular values by 3.4, and what is rounded of them too.
    matrices = 10**scale * (u * torch.linspace(0.5, 1, min(rows, columns)) @ v)
    for matrix, ours in zip(matrices, orthogonalise(matrices).double(), strict=True):
        assert torch.linalg.matrix_norm(ours - by_singular_values(matrix), 2) < 0.1
        assert torch.linalg.matrix_norm(ours, 2) < 1.3


def test_a_well_conditioned_matrix_gets_singular_values_near_one():
    orthogonal, _ = torch.linalg.qr(torch.randn(4, 30, 20, generator=torch.Generator().manual_seed(0)))
    values = torch.linalg.svdvals(orthogonalise(orthogonal * torch.linspace(1, 3, 20)).float())
    assert values.min() > 0.65
    assert values.max() < 1.25


def test_a_matrix_of_zeros_stays_zero():
    assert torch.equal(orthogonalise(torch.zeros(2, 3, 4)).float(), torch.zeros(2, 3, 4))


@pytest.mark.parametrize("shape", [(2, 3), (7, 7), (2, 64), (64, 8), (64, 64)])
def test_a_member_is_rounded_alike_in_fleets_of_two_or_more(shape):
    matrices = torch.randn(32, *shape, generator=torch.Generator().manual_seed(1))
    together = orthogonalise(matrices)
    for members in (2, 5, 16):
        assert torch.equal(orthogonalise(matrices[:members]), together[:members])


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 5), (7, 7), (2, 64), (10, 64), (64, 8), (16, 16), (40, 20)])
def test_a_few_matrices_differ_from_torchs_muon_by_rounding(shape):
    """The order of the sums in a product depends on its kernel, so that bfloat16 may round to a neighbour."""
    gradients = torch.randn(100, *shape, generator=torch.Generator().manual_seed(2))
    direction = Muon([torch.Size(shape)], rest=SGD())
    step = torch.zeros(100, gradients[0].numel())
    direction.move(step, gradients.flatten(1), direction.begin(step))
    theirs = torch.zeros_like(gradients)
    for matrix, gradient in zip(theirs, gradients, strict=True):
        parameter = matrix.clone()
        parameter.grad = gradient.clone()
        torch.optim.Muon([parameter], lr=1.0, weight_decay=0.0).step()
        matrix.copy_(parameter)
    ours = step.view_as(gradients)
    scale = max(1.0, shape[0] / shape[1]) ** 0.5
    differ = ~torch.isclose(ours, theirs, rtol=1e-6, atol=1e-6).flatten(1).all(1)
    assert differ.float().mean() <= 0.1
    assert (ours - theirs).abs().max() <= 2 * ROUNDING * scale
