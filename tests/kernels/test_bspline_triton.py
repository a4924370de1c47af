"""The kernels for CUDA, run on the processor by Triton's interpreter, against double precision."""

import pytest
import torch
from torch import Tensor
from triton_without_gpu import compiled, interpreted

from lamina.kernels.bspline import bspline
from lamina.kernels.spline_linear import spline_linear

pytest.importorskip("triton", reason="Triton is not installed")

# members, rows, features, outputs, grid, degree: none a multiple of a block
CASES = [
    ((), 70, 5, 3, 5, 3),
    ((), 1, 1, 1, 1, 1),
    ((), 33, 40, 70, 4, 2),
    ((3,), 130, 4, 2, 3, 5),
    ((2, 2), 9, 3, 2, 6, 3),
    ((), 0, 3, 2, 5, 3),
]


def inputs(members: tuple, rows: int, features: int, outputs: int, grid: int, degree: int) -> tuple:
    """Gradient, inputs of which a few are beyond the grid, grids of each feature and weights."""
    draw = torch.Generator().manual_seed(rows)
    x = 2 * torch.randn(*members, features, rows, generator=draw).mT  # not contiguous
    low = -2 - torch.rand(*members, features, generator=draw)
    scale = grid / (4 + torch.rand(*members, features, generator=draw))
    weight = torch.randn(*members, outputs, grid + degree + 1, features, generator=draw) / features**0.5
    return torch.randn(*members, rows, outputs, generator=draw), x, low, scale, weight, grid, degree


def reference(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> tuple:
    """Output and gradients of inputs and weights in plain operations."""
    g, low, scale = g.double(), low.double().unsqueeze(-2), scale.double().unsqueeze(-2)
    x, weight = (t.double().requires_grad_() for t in (x, weight))
    u = ((x - low) * scale).clamp(0, grid)
    centres = torch.arange(grid + degree) - (degree - 1) / 2
    splines = bspline(u.unsqueeze(-2) - centres.unsqueeze(-1), degree)
    edges = torch.cat([torch.nn.functional.silu(x).unsqueeze(-2), splines], dim=-2)
    y = torch.einsum("...rki,...oki->...ro", edges, weight)
    return y.detach(), *torch.autograd.grad(y, (x, weight), g)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[tuple]:
    cases = [(given[1:], given) for given in (inputs(*case) for case in CASES)]
    return interpreted("lamina.kernels._bspline_triton", cases, tmp_path_factory.mktemp("triton"))


@pytest.mark.parametrize("case", range(len(CASES)))
def test_outputs_and_gradients_are_those_of_double_precision(case, found):
    y, gradients = found[case]
    for ours, theirs in zip((y, *gradients), reference(*inputs(*CASES[case])), strict=True):
        size = max(1.0, float(theirs.abs().amax())) if theirs.numel() else 1.0
        torch.testing.assert_close(ours.double() / size, theirs / size, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["_forward", "_by_input", "_by_weight"])
def test_the_kernels_compile(name):
    from lamina.kernels import _bspline_triton as kernels

    pointers = {"g", "x", "low", "scale", "w", "weights", "y", "gx", "gw"}
    assert compiled(getattr(kernels, name), pointers, 4, DEGREE=3, BR=64, BF=32, BO=64).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("case", [case for case in CASES if not case[0]])
def test_on_a_gpu_outputs_and_gradients_are_those_of_double_precision(case):
    g, *tensors, grid, degree = inputs(*case)
    x, low, scale, weight = (t.cuda() for t in tensors)
    y = spline_linear(x.requires_grad_(), low, scale, weight.requires_grad_(), grid, degree)
    gradients = torch.autograd.grad(y, (x, weight), g.cuda())
    for ours, theirs in zip((y, *gradients), reference(*inputs(*case)), strict=True):
        size = max(1.0, float(theirs.abs().amax())) if theirs.numel() else 1.0
        torch.testing.assert_close(ours.double().cpu() / size, theirs / size, atol=1e-5, rtol=0)
