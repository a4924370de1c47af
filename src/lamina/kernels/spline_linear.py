"""A whole spline layer as one operator: on CUDA a kernel of Triton that keeps no spline in memory."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lamina.kernels import has_triton
from lamina.kernels.bspline import plain_edges_backward, spline_edges

_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("spline_linear(Tensor x, Tensor low, Tensor scale, Tensor weight, int grid, int degree) -> Tensor")
_LIBRARY.define(
    "spline_linear_backward(Tensor g, Tensor x, Tensor low, Tensor scale, Tensor weight, int grid, int degree) "
    "-> (Tensor, Tensor)"
)


def spline_linear(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    r"""SiLU and all B-splines of every input, times the weights of their edges.

    .. math:: y_o = \sum_i \sum_{k=0}^{G+p} w_{oki}\, e_k(x_i)

    with the :math:`e_k` of `lamina.kernels.bspline.spline_edges`. On CUDA, in single precision and where Triton is
    installed, a kernel computes them where the product takes them up, and again in the backward pass: memory holds
    inputs, weights and outputs alone. Elsewhere it is `spline_edges` and a matrix product. It can be differentiated as
    often as the splines, by `x` and `weight`.

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
    if torch.compiler.is_compiling() or not x.is_cuda or not _has_kernel(x):
        return F.linear(spline_edges(x, low, scale, grid, degree).flatten(-2), weight.flatten(1))
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return _SplineLinear.apply(rows, low, scale, weight, grid, degree).view(*x.shape[:-1], len(weight))


def _has_kernel(x: Tensor) -> bool:
    single = x.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
    return single and has_triton()


def _edges(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """``(*members, rows, functions * features)``."""
    return spline_edges(x.contiguous(), low.unsqueeze(-2), scale.unsqueeze(-2), grid, degree).flatten(-2)


def _forward(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    return _edges(x, low, scale, grid, degree) @ weight.flatten(-2).mT


def _backward(
    g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int
) -> tuple[Tensor, Tensor]:
    place = low.unsqueeze(-2), scale.unsqueeze(-2)
    back = (g @ weight.flatten(-2)).unflatten(-1, weight.shape[-2:])
    by_weight = (g.mT @ _edges(x, low, scale, grid, degree)).view(weight.shape)
    return torch.ops.lamina.spline_edges_backward(back, x, *place, grid, degree), by_weight


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


class _SplineLinear(torch.autograd.Function):
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
        compute = _plain_backward if again else torch.ops.lamina.spline_linear_backward
        x, low, scale, weight = ctx.saved_tensors
        by_input, by_weight = compute(g, x, low, scale, weight, ctx.grid, ctx.degree)
        return by_input, None, None, by_weight, None, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        stacked = [
            t.expand(info.batch_size, *t.shape) if d is None else t.movedim(d, 0)
            for t, d in zip(inputs[:4], dims[:4], strict=True)
        ]
        return _SplineLinear.apply(*stacked, *inputs[4:]), 0  # pyright: ignore[reportReturnType]


def _plain_backward(
    g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int
) -> tuple[Tensor, Tensor]:
    """What `_backward` computes, in operations that can be differentiated."""
    back = (g @ weight.flatten(-2)).unflatten(-1, weight.shape[-2:])
    by_weight = (g.mT @ _edges(x, low, scale, grid, degree)).unflatten(-1, weight.shape[-2:])
    return plain_edges_backward(back, x, low.unsqueeze(-2), scale.unsqueeze(-2), grid, degree), by_weight
