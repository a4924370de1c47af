"""A whole spline layer as one operator: on CUDA a kernel of Triton that keeps no spline in memory."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils.flop_counter import register_flop_formula

from lamina.kernels import Operator, arrays, has_loops, has_triton, members_first, plain_wanted, stacked
from lamina.kernels.bspline import plain_edges, plain_edges_backward, spline_edges
from lamina.kernels.scratch import tiles

_MANY = 2**19  # numbers of which torch.compile takes the operator
_WIDE = 16  # outputs: of fewer, MKL computes the transposed product up to twice as fast
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("spline_linear(Tensor x, Tensor low, Tensor scale, Tensor weight, int grid, int degree) -> Tensor")
_LIBRARY.define(
    "spline_linear_backward(Tensor g, Tensor x, Tensor low, Tensor scale, Tensor weight, int grid, int degree) "
    "-> (Tensor, Tensor)"
)


def spline_linear(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    r"""SiLU and all B-splines of every input, times the weights of their edges.

    .. math:: y_o = \sum_i \sum_{k=0}^{G+p} w_{oki}\, e_k(x_i)

    with the :math:`e_k` of `lamina.kernels.bspline.spline_edges`. Those of all rows never stand in memory: on a
    processor compiled loops compute them for a part of the rows, within its cache, and again in the backward pass. On
    CUDA, in single precision and where Triton is installed, a kernel computes them where the product takes them up.
    `torch.compile` of few numbers, autocast and whatever else go through `spline_edges` and a matrix product. It can be
    differentiated as often as the splines, by `x` and `weight`.

    Args:
        x: any numbers, ``(*, in_features)``.
        low: where the grid of a feature begins, ``(in_features,)``.
        scale: intervals in a unit of the feature, ``(in_features,)``.
        weight: ``(out_features, grid + degree + 1, in_features)``.
        grid: intervals :math:`G`.
        degree: :math:`p` of the splines, at least 1.

    Returns:
        ``(*, out_features)``.

    Source:
        Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756. Tiles that stay on the chip, computed again
        in the backward pass: Dao et al. 2022, FlashAttention, arXiv:2205.14135.
    """
    if _compiled_whole(x, low, scale, weight):
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return torch.ops.lamina.spline_linear(rows, low, scale, weight, grid, degree).view(*x.shape[:-1], -1)
    if not _has_operator(x, low, scale, weight):
        return F.linear(spline_edges(x, low, scale, grid, degree).flatten(-2), weight.flatten(1))
    if x.ndim != 2:
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return spline_linear(rows, low, scale, weight, grid, degree).view(*x.shape[:-1], len(weight))
    return _SplineLinear.apply(x, low, scale, weight, grid, degree)  # pyright: ignore[reportReturnType]


def _compiled_whole(x: Tensor, *others: Tensor) -> bool:
    """Whether `torch.compile` takes the operator as it is: of few numbers plain operations are faster once compiled."""
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting() or torch.is_autocast_enabled(x.device.type):
        return False
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return False
    return x.is_cpu and x.dtype == torch.float32 and _alike(x, *others) and x.numel() >= _MANY


def _alike(x: Tensor, *others: Tensor) -> bool:
    """Of one type, and with as many features."""
    return all(t.dtype == x.dtype and t.shape[-1] == x.shape[-1] for t in others)


def _has_operator(x: Tensor, *others: Tensor) -> bool:
    if not _alike(x, *others):
        return False
    if not x.is_meta and torch.is_autocast_enabled(x.device.type):
        return False
    return has_loops(x) or (x.is_cuda and x.dtype == torch.float32 and has_triton() and not plain_wanted())


def _part(features: int) -> int:
    """Numbers that a thread computes at a time: with fewer rows than some hundred, it reads the weights too often."""
    return max(512 * features, 16_384)


def _flat(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor) -> list[Tensor]:
    """Rows, grids and weights with one dimension for the members."""
    return [stacked(x, 2), stacked(low, 1), stacked(scale, 1), stacked(weight, 3).flatten(-2)]


def _forward(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    from lamina.kernels import _bumps_loops

    loop, _ = _bumps_loops.of("spline", degree)
    outputs, functions, features = weight.shape[-3:]
    rows, *others = _flat(x, low, scale, weight)
    y = x.new_empty(*rows.shape[:2], outputs)
    for (x_, y_), (low_, scale_, weight_), _, memory in tiles((rows, y), others, functions, _part(features)):
        into = memory.numpy().reshape(math.prod(y_.shape[:2]), functions, features)
        loop(*arrays(1, x_, low_, scale_), grid, degree, 1, into)
        edges = memory.view(*y_.shape[:2], functions * features)
        if outputs < _WIDE:
            y_.copy_(torch.bmm(weight_, edges.mT).mT)
        else:
            torch.bmm(edges, weight_.mT, out=y_)
    return y.view(*x.shape[:-1], outputs)


def _backward(
    g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int
) -> tuple[Tensor, Tensor]:
    from lamina.kernels import _bumps_loops

    loop, loop_back = _bumps_loops.of("spline", degree)
    functions, features = weight.shape[-2:]
    rows, *others = _flat(x, low, scale, weight)
    by_input, by_weight = rows.new_empty(rows.shape), others[-1].new_empty(others[-1].shape)
    if not x.numel():
        by_weight.zero_()
    parts = tiles((rows, stacked(g, 2), by_input), (*others, by_weight), 2 * functions, _part(features))
    for (x_, g_, by_x), (low_, scale_, weight_, total), first, memory in parts:
        edges, back = memory.view(2, *g_.shape[:2], functions * features).unbind()
        into, above = memory.numpy().reshape(2, math.prod(g_.shape[:2]), functions, features)
        places = arrays(1, x_, low_, scale_)
        loop(*places, grid, degree, 1, into)
        torch.baddbmm(total, g_.mT, edges, beta=0 if first else 1, out=total)
        torch.bmm(g_, weight_, out=back)
        loop_back(above, *places, grid, degree, 1, *arrays(1, by_x))
    return by_input.view(x.shape), by_weight.view(weight.shape)


def _cuda_forward(*inputs: Any) -> Tensor:
    from lamina.kernels import _bspline_triton  # Triton does not come with torch for processors

    return _bspline_triton.forward(*inputs)


def _cuda_backward(*inputs: Any) -> tuple[Tensor, Tensor]:
    from lamina.kernels import _bspline_triton

    return _bspline_triton.backward(*inputs)


_LIBRARY.impl("spline_linear", _forward, "CPU")
_LIBRARY.impl("spline_linear_backward", _backward, "CPU")
_LIBRARY.impl("spline_linear", _cuda_forward, "CUDA")
_LIBRARY.impl("spline_linear_backward", _cuda_backward, "CUDA")


@torch.library.register_fake("lamina::spline_linear", lib=_LIBRARY)
def _(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[-3])


@torch.library.register_fake("lamina::spline_linear_backward", lib=_LIBRARY)
def _(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, *sizes: int) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape)


@register_flop_formula(torch.ops.lamina.spline_linear)
def _(x: torch.Size, low: torch.Size, scale: torch.Size, weight: torch.Size, *sizes: int, **more: Any) -> int:
    return 2 * x[-2] * math.prod(weight)


class _SplineLinear(Operator):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
        return torch.ops.lamina.spline_linear(x, low, scale, weight, grid, degree)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.grid, ctx.degree = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        again = torch.is_grad_enabled()  # a derivative of the derivative is wanted
        compute = plain_linear_backward if again else torch.ops.lamina.spline_linear_backward
        x, low, scale, weight = ctx.saved_tensors
        by_input, by_weight = compute(g, x, low, scale, weight, ctx.grid, ctx.degree)
        return by_input, None, None, by_weight, None, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        members = members_first(info.batch_size, dims[:4], inputs[:4])
        return _SplineLinear.apply(*members, *inputs[4:]), 0  # pyright: ignore[reportReturnType]


# for torch.compile, which does not look into an operator
torch.library.register_autograd(
    "lamina::spline_linear", _SplineLinear.backward, setup_context=_SplineLinear.setup_context, lib=_LIBRARY
)


def plain_linear(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    """What the operator computes of ``(*members, rows, features)``, in plain operations."""
    edges = plain_edges(x, low.unsqueeze(-2), scale.unsqueeze(-2), grid, degree)
    return edges.flatten(-2) @ weight.flatten(-2).mT


def plain_linear_backward(
    g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int
) -> tuple[Tensor, Tensor]:
    """The derivative of `plain_linear` times `g`, in operations that can be differentiated."""
    low, scale = low.unsqueeze(-2), scale.unsqueeze(-2)
    back = (g @ weight.flatten(-2)).unflatten(-1, weight.shape[-2:])
    by_weight = (g.mT @ plain_edges(x, low, scale, grid, degree).flatten(-2)).unflatten(-1, weight.shape[-2:])
    return plain_edges_backward(back, x, low, scale, grid, degree), by_weight
