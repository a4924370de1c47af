import itertools

import pytest
import torch
from torch import Tensor

from lamina.kernels import narrow_mlp as module
from lamina.kernels.narrow_mlp import layer_by_layer, narrow_mlp
from lamina.networks.size import flops


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """The operator for any number of rows."""
    monkeypatch.setattr(module, "_LEAST", 0)


def layers(*sizes: int, members: tuple[int, ...] = (), seed: int = 0) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases in double precision."""
    kind = {"generator": torch.Generator().manual_seed(seed), "dtype": torch.float64}
    weights = [torch.randn(*members, b, a, **kind) / a**0.5 for a, b in itertools.pairwise(sizes)]
    return weights, [torch.randn(*members, b, **kind) for b in sizes[1:]]


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def both(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """Outputs and all gradients, of the operator and of the reference."""
    found = []
    for compute in (narrow_mlp, layer_by_layer):
        leaves = [t.clone().requires_grad_() for t in (x, *weights, *biases)]
        y = compute(leaves[0], leaves[1 : 1 + len(weights)], leaves[1 + len(weights) :])
        found.append((y, *torch.autograd.grad(y.square().sum() + y.sum(), leaves)))
    return found


@pytest.mark.parametrize("sizes", [(3, 2), (4, 1, 5), (7, 16, 3, 11), (5, *[20] * 6, 1), (2, 300, 2)])
@pytest.mark.parametrize("shape", [(0,), (), (1,), (97,), (3, 5)])
def test_outputs_and_gradients_are_those_of_layer_by_layer(sizes, shape, monkeypatch):
    monkeypatch.setattr(module, "_TILE", 1_000)  # several tiles, the last one smaller
    ours, theirs = both(inputs(*shape, sizes[0]), *layers(*sizes))
    torch.testing.assert_close(ours, theirs)


def test_many_rows_in_single_precision():
    weights, biases = layers(64, *[64] * 5, 3)
    x, single = inputs(20_000, 64), lambda ts: [t.float() for t in ts]
    ours = narrow_mlp(x.float(), single(weights), single(biases))
    torch.testing.assert_close(ours.double(), layer_by_layer(x, weights, biases), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("rows", "named"), [(2**16, True), (2**16 - 1, False)])
def test_few_rows_go_layer_by_layer(rows, named, monkeypatch):
    monkeypatch.setattr(module, "_LEAST", 2**20)
    weights, biases = layers(3, 16, 2)
    with torch.profiler.profile() as seen:
        narrow_mlp(inputs(rows, 3), weights, biases)
    assert ("lamina::narrow_mlp" in {event.key for event in seen.key_averages()}) == named


def test_inputs_that_are_not_contiguous_and_one_gradient_alone():
    weights, biases = layers(6, 5, 4)
    x = inputs(6, 9).T
    bias = biases[0].requires_grad_()
    (slope,) = torch.autograd.grad(narrow_mlp(x, weights, biases).sum(), bias)
    (expected,) = torch.autograd.grad(layer_by_layer(x, weights, biases).sum(), bias)
    torch.testing.assert_close(slope, expected)


@pytest.mark.parametrize("tile", [1_000, 100_000])
def test_members_of_a_stack_have_layers_of_their_own(tile, monkeypatch):
    monkeypatch.setattr(module, "_TILE", tile)
    weights, biases = layers(4, 8, 6, 2, members=(5,))
    x, weight = inputs(5, 30, 4), weights[0].requires_grad_()
    one = [narrow_mlp(x[i], [w[i] for w in weights], [b[i] for b in biases]) for i in range(5)]
    together = torch.vmap(narrow_mlp)(x, weights, biases)
    torch.testing.assert_close(together, torch.stack(one))
    slopes = [torch.autograd.grad(y.square().sum(), weight)[0] for y in (together, torch.stack(one))]
    torch.testing.assert_close(*slopes)
    twice = torch.vmap(torch.vmap(narrow_mlp, in_dims=(None, 0, 0)), in_dims=(0, None, None))(x, weights, biases)
    torch.testing.assert_close(twice[torch.arange(5), torch.arange(5)], together)


def test_rows_of_a_batch_share_the_layers():
    weights, biases = layers(4, 8, 2)
    x = inputs(30, 3, 4)
    mapped = torch.vmap(lambda x: narrow_mlp(x, weights, biases), in_dims=1)(x)
    torch.testing.assert_close(mapped, layer_by_layer(x, weights, biases).transpose(0, 1))
    slopes = torch.func.vmap(torch.func.jacrev(lambda row: narrow_mlp(row, weights, biases)))(x[:, 0])
    theirs = torch.func.vmap(torch.func.jacrev(lambda row: layer_by_layer(row, weights, biases)))(x[:, 0])
    torch.testing.assert_close(slopes, theirs)


def test_derivatives_are_those_of_finite_differences_twice():
    weights, biases = layers(3, 4, 2)
    leaves = [t.requires_grad_() for t in (inputs(5, 3), *weights, *biases)]
    compute = lambda x, a, b, c, d: narrow_mlp(x, [a, b], [c, d])  # noqa: E731
    assert torch.autograd.gradcheck(compute, leaves)
    assert torch.autograd.gradgradcheck(compute, leaves)


def test_it_is_plain_layers_when_compiled_and_under_autocast():
    weights, biases = layers(3, 8, 2)
    x = inputs(5, 3)
    program = torch.export.export(Wrapped(weights, biases), (x,))
    assert not any("lamina" in str(node.target) for node in program.graph.nodes)
    torch.testing.assert_close(program.module()(x), narrow_mlp(x, weights, biases))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        single = [[t.float() for t in ts] for ts in (weights, biases)]
        assert narrow_mlp(x.float(), *single).dtype == torch.bfloat16


def test_its_operations_are_counted():
    assert flops(Wrapped(*layers(3, 8, 2)), 3) == 2 * (3 * 8 + 8 * 2)


class Wrapped(torch.nn.Module):
    def __init__(self, weights: list[Tensor], biases: list[Tensor]) -> None:
        super().__init__()
        self.weights, self.biases = torch.nn.ParameterList(weights), torch.nn.ParameterList(biases)

    def forward(self, x: Tensor) -> Tensor:
        return narrow_mlp(x, list(self.weights), list(self.biases))


@pytest.mark.parametrize("members", [(), (2,)])
def test_the_operators_are_well_formed(members):
    weights, biases = layers(4, 8, 2, members=members)
    x = inputs(*members, 7, 4)
    torch.library.opcheck(torch.ops.lamina.narrow_mlp.default, (x, weights, biases))
    for wanted in (True, False):
        g = inputs(*members, 7, 2)
        torch.library.opcheck(torch.ops.lamina.narrow_mlp_backward.default, (g, x, weights, biases, wanted))
