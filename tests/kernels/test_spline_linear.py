import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.kernels import spline_linear as module
from lamina.kernels.bspline import spline_edges
from lamina.kernels.spline_linear import _SplineLinear, spline_linear

GRID, DEGREE = 4, 3


def tensors(*members: int) -> tuple[Tensor, ...]:
    """Inputs, grids and weights in double precision."""
    kind = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64}
    x, weight = torch.randn(*members, 9, 3, **kind), torch.randn(*members, 2, GRID + DEGREE + 1, 3, **kind)
    return x, -1 - torch.rand(*members, 3, **kind), 1 + torch.rand(*members, 3, **kind), weight


def operator(*inputs: Tensor) -> Tensor:
    """What runs on CUDA, here with the form for processors."""
    return _SplineLinear.apply(*inputs, GRID, DEGREE)


def plain(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    return F.linear(spline_edges(x, low, scale, GRID, DEGREE).flatten(-2), weight.flatten(1))


def test_on_a_processor_it_is_the_edges_and_a_product():
    x, low, scale, weight = tensors()
    for rows in (x, x[0], x[:0], x.view(3, 3, 3)):
        ours = spline_linear(rows, low, scale, weight, GRID, DEGREE)
        torch.testing.assert_close(ours, plain(rows, low, scale, weight), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("outputs", [2, 20])
@pytest.mark.parametrize("shape", [(3_000, 64), (2, 20_000, 8), (300, 70)])
def test_many_rows_go_part_by_part(shape, outputs, monkeypatch):
    monkeypatch.setattr(module, "_part", lambda features: 256)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    sizes = (outputs, GRID + DEGREE + 1, shape[-1])
    weight = torch.randn(sizes, generator=generator, dtype=torch.float64).requires_grad_()
    low, scale = torch.full((2, shape[-1]), 1.5, dtype=torch.float64) * torch.tensor([[-1.0], [1.0]])
    ours, theirs = spline_linear(x, low, scale, weight, GRID, DEGREE), plain(x, low, scale, weight)
    product = ours.grad_fn
    while type(product).__name__ == "ViewBackward0":
        product = product.next_functions[0][0]
    assert "_SplineLinear" in type(product).__name__
    torch.testing.assert_close(ours, theirs)
    g = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad(y, (x, weight), g) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b)


def test_without_features_the_sum_is_zero():
    x, weight = torch.randn(5, 0, requires_grad=True), torch.randn(2, GRID + DEGREE + 1, 0, requires_grad=True)
    y = spline_linear(x, torch.zeros(0), torch.ones(0), weight, GRID, DEGREE)
    torch.testing.assert_close(y, torch.zeros(5, 2))
    assert [g.shape for g in torch.autograd.grad(y.sum(), (x, weight))] == [x.shape, weight.shape]


def test_operator_and_its_gradients_are_the_edges_and_a_product():
    x, low, scale, weight = tensors()
    x.requires_grad_(), weight.requires_grad_()
    ours, theirs = operator(x, low, scale, weight), plain(x, low, scale, weight)
    torch.testing.assert_close(ours, theirs)
    g = torch.randn_like(ours)
    torch.testing.assert_close(torch.autograd.grad(ours, (x, weight), g), torch.autograd.grad(theirs, (x, weight), g))
    assert torch.autograd.gradgradcheck(lambda x, weight: operator(x, low, scale, weight), (x, weight))


def test_members_of_a_stack_have_layers_of_their_own():
    x, low, scale, weight = tensors(4)
    x.requires_grad_(), weight.requires_grad_()
    together = torch.vmap(operator)(x, low, scale, weight)
    one = torch.stack([plain(*t) for t in zip(x, low, scale, weight, strict=True)])
    torch.testing.assert_close(together, one)
    slopes = [torch.autograd.grad(y.square().sum(), (x, weight)) for y in (together, one)]
    torch.testing.assert_close(*slopes)
    shared = torch.vmap(operator, in_dims=(1, None, None, None), out_dims=1)(x, low[0], scale[0], weight[0])
    torch.testing.assert_close(shared, plain(x, low[0], scale[0], weight[0]))


def test_the_operators_are_well_formed():
    for members in ((), (2,)):
        inputs = (*tensors(*members), GRID, DEGREE)
        torch.library.opcheck(torch.ops.lamina.spline_linear.default, inputs)
        g = torch.ones(*members, 9, 2, dtype=torch.float64)
        torch.library.opcheck(torch.ops.lamina.spline_linear_backward.default, (g, *inputs))


@pytest.mark.parametrize("least", [0, 10**9])
def test_compiled_layers_are_the_same_whether_the_operator_stays_or_not(least, monkeypatch):
    monkeypatch.setattr(module, "_MANY", least)
    torch.compiler.reset()
    x, low, scale, weight = (t.float() for t in tensors())
    x.requires_grad_(), weight.requires_grad_()
    seen = []

    def backend(graph, inputs):
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    compiled = torch.compile(lambda x, weight: spline_linear(x, low, scale, weight, GRID, DEGREE), backend=backend)
    ours, theirs = compiled(x, weight), plain(x, low, scale, weight)
    torch.testing.assert_close(ours, theirs)
    assert any("spline_linear" in name for name in seen) == (least == 0)
    found = [torch.autograd.grad(y.square().sum(), (x, weight)) for y in (ours, theirs)]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("transform", ["jvp", "grad"])
def test_compiled_transforms_of_many_numbers_are_those_of_plain_operations(transform, monkeypatch):
    monkeypatch.setattr(module, "_MANY", 0)
    torch.compiler.reset()
    x, low, scale, weight = (t.float() for t in tensors())

    def layer(x):
        return spline_linear(x, low, scale, weight, GRID, DEGREE).sin()

    def f(x):
        if transform == "jvp":
            return torch.func.jvp(layer, (x,), (x,))[1]
        return torch.func.grad(lambda x: layer(x).sum())(x)

    expected = f(x)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(torch.compile(f, backend="aot_eager")(x), expected)


def test_weights_may_lie_in_any_order():
    x, low, scale, weight = tensors()
    other = weight.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    g = torch.ones(9, 2, dtype=torch.float64)
    torch.library.opcheck(torch.ops.lamina.spline_linear_backward.default, (g, x, low, scale, other, GRID, DEGREE))
