import pytest
import torch
from torch import Tensor

from lamina.kernels import tied_step as kernel
from lamina.kernels.tied_step import _TiedStep, smooth_step, tied_step


def tensors(*members: int, rows: int = 7) -> tuple[Tensor, ...]:
    """Inputs, weights, biases and shifts in double precision."""
    kind = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}
    shapes = (rows, 3), (5, 3), (5,), (3,)
    return tuple(torch.randn(*members, *shape, **kind).requires_grad_() for shape in shapes)


def plain(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor) -> Tensor:
    return (smooth_step(x @ weight.mT + bias) - smooth_step(bias)) @ weight + shift


def operator(*inputs: Tensor) -> Tensor:
    return _TiedStep.apply(*inputs)[0]  # pyright: ignore[reportOptionalSubscript]


def test_the_slope_of_a_step_is_the_square_of_that_of_the_logistic_function():
    u = torch.linspace(-5, 5, 50, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(smooth_step(u).sum(), u)
    torch.testing.assert_close(
        slope, 6 * torch.special.expit(u.detach()).mul(torch.special.expit(-u.detach())).square()
    )


@pytest.mark.parametrize("tile", [1, 12, 10_000])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_operator_and_its_gradients_are_the_plain_operations(tile, rows, monkeypatch):
    monkeypatch.setattr(kernel, "_TILE", tile)
    inputs = tensors(rows=rows)
    ours, theirs = operator(*inputs), plain(*inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    g = torch.randn(ours.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    slopes = [torch.autograd.grad(y, inputs, g) for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


def test_few_and_many_rows_are_computed_alike(monkeypatch):
    x, *others = tensors(rows=8)
    for rows in (x, x[0], x[:0], x.view(2, 4, 3)):
        monkeypatch.setattr(kernel, "_LEAST", 10_000)
        few = tied_step(rows, *others)
        monkeypatch.setattr(kernel, "_LEAST", 0)
        torch.testing.assert_close(tied_step(rows, *others), few)
        torch.testing.assert_close(few, plain(rows, *others))


def test_it_can_be_differentiated_again():
    assert torch.autograd.gradgradcheck(operator, tensors())


def test_members_of_a_stack_have_layers_of_their_own():
    inputs = tensors(4)
    together = torch.vmap(operator)(*inputs)
    one = torch.stack([plain(*t) for t in zip(*inputs, strict=True)])
    torch.testing.assert_close(together, one)
    slopes = [torch.autograd.grad(y.square().sum(), inputs) for y in (together, one)]
    torch.testing.assert_close(*slopes)
    x, *others = inputs
    shared = torch.vmap(operator, in_dims=(1, None, None, None), out_dims=1)(x, *(t[0] for t in others))
    torch.testing.assert_close(shared, plain(x, *(t[0] for t in others)))


def test_the_operators_are_well_formed():
    for members in ((), (2,)):
        x, weight, bias, shift = (t.detach() for t in tensors(*members))
        torch.library.opcheck(torch.ops.lamina.tied_step.default, (x, weight, bias, shift))
        logistic = torch.rand(*members, 7, 5, dtype=torch.float64)
        inputs = (torch.ones_like(x), x, weight, bias, logistic)
        torch.library.opcheck(torch.ops.lamina.tied_step_backward.default, inputs)
