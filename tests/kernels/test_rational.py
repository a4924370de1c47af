import numpy as np
import pytest
import torch

from lamina.kernels.rational import plain_rational, rational


def drawn(*shape, groups=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = (shape, (6, groups), (4,))
    return [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in sizes]


def test_formula():
    inputs = drawn(40, 5)
    x, a, b = (t.detach().numpy() for t in inputs)
    a = a[:, [0, 0, 0, 1, 1]]
    expected = np.polynomial.polynomial.polyval(x, a[:, None], tensor=False)
    expected /= 1 + np.abs(np.polynomial.polynomial.polyval(x, np.array([0, *b])))
    np.testing.assert_allclose(rational(*inputs).detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 5, 3), (30_000, 3), (2, 70_000)])
def test_tiles_of_every_shape_are_the_plain_operations(shape):
    inputs = drawn(*shape)
    ours, theirs = rational(*inputs), plain_rational(*inputs)
    torch.testing.assert_close(ours, theirs)
    g = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = (torch.autograd.grad(y, inputs, g) for y in (ours, theirs))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_has_second_derivatives():
    inputs = drawn(4, 3)
    assert torch.autograd.gradcheck(rational, inputs)
    assert torch.autograd.gradgradcheck(rational, inputs)


def test_members_of_a_stack_have_functions_of_their_own():
    members = [drawn(9, 4, seed=seed) for seed in range(3)]
    stacked = [torch.stack(ts).detach() for ts in zip(*members, strict=True)]

    def gradients(x, a, b):
        return torch.func.grad(lambda *t: rational(*t).square().sum(), argnums=(0, 1, 2))(x, a, b)

    together = torch.vmap(gradients)(*stacked)
    for i, member in enumerate(members):
        for ours, theirs in zip(together, torch.autograd.grad(rational(*member).square().sum(), member), strict=True):
            torch.testing.assert_close(ours[i], theirs)


def test_the_operator_is_well_formed():
    x, a, b = (t.detach() for t in drawn(7, 3))
    torch.library.opcheck(torch.ops.lamina.rational.default, (x, a, b))
    torch.library.opcheck(torch.ops.lamina.rational_backward.default, (x, x, rational(x, a, b), a, b))
