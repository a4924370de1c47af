import pytest
import torch

from lamina.kernels.shifted_products import plain_products, shifted_products


def drawn(*shape, functions=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sizes = (shape, *[(functions,)] * 3)
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_() for s in sizes]
    return [*inputs, torch.tensor([1.7], dtype=torch.float64, requires_grad=True)]


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 5, 3), (30_000, 3), (2, 70_000)])
def test_tiles_of_every_shape_are_the_plain_operations(shape):
    inputs = drawn(*shape)
    ours = shifted_products(*inputs)
    theirs = plain_products(inputs[0].reshape(-1, shape[-1]) if 0 not in shape else inputs[0], *inputs[1:]).view(shape)
    torch.testing.assert_close(ours, theirs)
    g = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = (torch.autograd.grad(y, inputs, g) for y in (ours, theirs))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_single_precision_loses_little():
    inputs = drawn(200, 16)
    single = [t.detach().float().requires_grad_() for t in inputs]
    ours, theirs = shifted_products(*single), plain_products(*inputs)
    torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shifted_products(*single, function=torch.nn.functional.silu), ours)


def test_of_equal_functions_one_is_the_least_and_one_the_largest():
    x, start, _, score, temperature = drawn(6, 4)
    x = torch.zeros_like(x).requires_grad_()
    end = (-start.flip(0)).detach().requires_grad_()  # functions in pairs that are equal at zero
    inputs = (x, start, end, score, temperature)
    found = [torch.autograd.grad(f(*inputs).square().sum(), inputs) for f in (shifted_products, plain_products)]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_has_second_derivatives():
    inputs = drawn(3, 4, functions=2)
    assert torch.autograd.gradcheck(shifted_products, inputs)
    assert torch.autograd.gradgradcheck(shifted_products, inputs)


def test_other_functions_are_plain_operations():
    inputs = drawn(6, 4)
    expected = plain_products(*inputs, torch.relu)
    torch.testing.assert_close(shifted_products(*inputs, function=torch.relu), expected)


def test_members_of_a_stack_have_functions_of_their_own():
    members = [drawn(9, 4, seed=seed) for seed in range(3)]
    stacked = [torch.stack(ts).detach() for ts in zip(*members, strict=True)]

    def gradients(*inputs):
        return torch.func.grad(lambda *t: shifted_products(*t).square().sum(), argnums=tuple(range(5)))(*inputs)

    together = torch.vmap(gradients)(*stacked)
    for i, member in enumerate(members):
        loss = shifted_products(*member).square().sum()
        for ours, theirs in zip(together, torch.autograd.grad(loss, member), strict=True):
            torch.testing.assert_close(ours[i], theirs)


def test_the_operator_is_well_formed():
    inputs = [t.detach() for t in drawn(7, 3)]
    torch.library.opcheck(torch.ops.lamina.shifted_products.default, tuple(inputs))
    torch.library.opcheck(torch.ops.lamina.shifted_products_backward.default, (inputs[0], *inputs))


@pytest.mark.parametrize("number", [90.0, -95.0, 1e20, -1e20])
def test_numbers_and_shifts_may_be_far_away(number):
    x, start, end, score, temperature = (t.detach().float() for t in drawn(2, 5, functions=2))
    x[0, 0], start[1], end[1] = number, -95.0, 100.0
    inputs = [t.requires_grad_() for t in (x, start, end, score, temperature)]
    ours, theirs = shifted_products(*inputs), plain_products(*inputs)
    assert ours.isfinite().all()
    torch.testing.assert_close(ours, theirs)
    if abs(number) < 1e3:
        found = (torch.autograd.grad(y[1].square().sum(), inputs) for y in (ours, theirs))
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
