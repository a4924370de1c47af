"""The kernels for CUDA, run on the processor by Triton's interpreter, against double precision."""

import itertools

import pytest
import torch
from torch import Tensor
from triton_without_gpu import compiled, interpreted

from lamina.kernels.narrow_mlp import layer_by_layer, narrow_mlp

pytest.importorskip("triton", reason="Triton is not installed")

# members, rows and sizes, none a multiple of a block
CASES = [
    ((), 70, (5, 3)),
    ((), 1, (1, 1, 1)),
    ((), 300, (7, 20, 33, 4)),
    ((), 90, (70, *[100] * 4, 1)),
    ((3,), 130, (4, 9, 2)),
    ((40, 2), 200, (3, 8, 8, 2)),
    ((), 0, (3, 8, 2)),
]


def inputs(members: tuple, rows: int, sizes: tuple) -> tuple:
    """Gradient, inputs, weights and biases."""
    draw = torch.Generator().manual_seed(rows)
    weights = [torch.randn(*members, b, a, generator=draw) / a**0.5 for a, b in itertools.pairwise(sizes)]
    biases = [torch.randn(*members, b, generator=draw) for b in sizes[1:]]
    x = torch.randn(*members, sizes[0], rows, generator=draw).mT  # not contiguous
    return torch.randn(*members, rows, sizes[-1], generator=draw), x, weights, biases


def reference(g: Tensor, x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> tuple[Tensor, ...]:
    """Output and gradients of weights, biases and inputs in plain operations."""
    leaves = [t.double().requires_grad_() for t in (*weights, *biases, x)]
    compute = layer_by_layer
    for _ in x.shape[:-2]:
        compute = torch.vmap(compute)
    y = compute(leaves[-1], leaves[: len(weights)], leaves[len(weights) : -1])
    return y.detach(), *torch.autograd.grad(y, leaves, g.double())


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[tuple]:
    cases = [(given[1:], (*given, True)) for given in (inputs(*case) for case in CASES)]
    return interpreted("lamina.kernels._narrow_mlp_triton", cases, tmp_path_factory.mktemp("triton"))


@pytest.mark.parametrize("case", range(len(CASES)))
def test_outputs_and_gradients_are_those_of_double_precision(case, found):
    y, gradients = found[case]
    for ours, theirs in zip((y, *gradients), reference(*inputs(*CASES[case])), strict=True):
        size = max(1.0, float(theirs.abs().amax())) if theirs.numel() else 1.0
        torch.testing.assert_close(ours.double() / size, theirs / size, atol=1e-5, rtol=0)


@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("name", ["_forward", "_backward"])
def test_the_kernels_compile(name, width):
    from lamina.kernels import _narrow_mlp_triton as kernels

    pointers = {"g", "x", "w", "b", "y", "hidden", "gx", "gw", "gb"}
    rows, warps = kernels._tile_of(width)
    wanted = {"WANTED": True} if name == "_backward" else {}
    code = compiled(getattr(kernels, name), pointers, warps, BR=rows, D=width, **wanted)
    assert code.metadata.shared <= 227 * 1024  # what a program may have


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("case", [case for case in CASES if len(case[0]) < 2])
def test_on_a_gpu_outputs_and_gradients_are_those_of_double_precision(case):
    g, x, weights, biases = inputs(*case)
    leaves = [t.cuda().requires_grad_() for t in (*weights, *biases, x)]
    compute = torch.vmap(narrow_mlp) if x.ndim == 3 else narrow_mlp
    y = compute(leaves[-1], leaves[: len(weights)], leaves[len(weights) : -1])
    for ours, theirs in zip((y, *torch.autograd.grad(y, leaves, g.cuda())), reference(*inputs(*case)), strict=True):
        size = max(1.0, float(theirs.abs().amax())) if theirs.numel() else 1.0
        torch.testing.assert_close(ours.double().cpu() / size, theirs / size, atol=1e-5, rtol=0)
