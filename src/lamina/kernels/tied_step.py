"""A layer of smooth steps followed by its own transposed matrix, a tile of rows at a time, within the cache."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.kernels import Operator, members_first, plain_wanted, stacked
from lamina.kernels.scratch import tiles

# Numbers of a tile's units for each thread: a megabyte in single precision, for each of two buffers.
_TILE = 262_144
_LEAST = 2**16  # numbers of the units: fewer stay in the cache anyway
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("tied_step(Tensor x, Tensor weight, Tensor bias, Tensor shift) -> (Tensor, Tensor)")
_LIBRARY.define(
    "tied_step_backward(Tensor g, Tensor x, Tensor weight, Tensor bias, Tensor logistic) "
    "-> (Tensor, Tensor, Tensor, Tensor)"
)


def tied_step(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor) -> Tensor:
    r"""A layer of smooth steps and the transposed matrix of the same weights.

    .. math:: y = W^\top \big(S(W x + b) - S(b)\big) + c, \qquad S = s^2 (3 - 2 s)

    with the logistic function :math:`s`. On a processor and for many numbers it is an operator that keeps the :math:`s`
    alone for the backward pass, and computes the steps and their slopes in tiles of rows. Otherwise, and under
    `torch.compile`, `torch.export` and autocast, it is plain operations. It can be differentiated as often as one
    likes.

    Args:
        x: inputs, ``(*, features)``.
        weight: :math:`W`, ``(units, features)``.
        bias: :math:`b`, ``(units,)``.
        shift: :math:`c`, ``(features,)``.

    Returns:
        ``(*, features)``.

    Source:
        Richter-Powell, Lorraine and Amos 2021, Input Convex Gradient Networks, arXiv:2111.12187.
    """
    if plain_wanted() or not _has_operator(x, weight):
        return F.linear(smooth_step(F.linear(x, weight, bias)), weight.t(), shift - smooth_step(bias) @ weight)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y: Any = _TiedStep.apply(rows, weight, bias, shift)
    return y[0].view(x.shape)


def _has_operator(x: Tensor, weight: Tensor) -> bool:
    many = math.prod(x.shape[:-1]) * weight.shape[-2] >= _LEAST
    return x.is_cpu and many and not torch.is_autocast_enabled(x.device.type)


def smooth_step(u: Tensor) -> Tensor:
    """The integral of the square of the slope of sqrt(6) s(u), for the logistic function s."""
    step = u.sigmoid()
    return step.square() * torch.add(3, step, alpha=-2)


def _steps(logistic: Tensor, start: Tensor, out: Tensor) -> Tensor:
    return torch.mul(logistic, -2, out=out).add_(3).mul_(logistic).mul_(logistic).sub_(start)


def _forward(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    y, logistic = x.new_empty(x.shape), x.new_empty(*x.shape[:-1], weight.shape[-2])
    by_row = stacked(logistic, 2), stacked(x, 2), stacked(y, 2)
    bias, shift = stacked(bias, 1).unsqueeze(1), stacked(shift, 1).unsqueeze(1)
    by_member = bias, shift, smooth_step(bias), stacked(weight, 2)
    for (units, x_, y_), (bias_, shift_, start, weight_), _, memory in tiles(by_row, by_member, 1, _TILE):
        torch.baddbmm(bias_, x_, weight_.mT, out=units).sigmoid_()
        torch.baddbmm(shift_, _steps(units, start, memory.view(units.shape)), weight_, out=y_)
    return y, logistic


def _backward(
    g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, logistic: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    found = x.new_empty(x.shape), weight.new_zeros(weight.shape), bias.new_empty(bias.shape), g.sum(-2)
    maps, by_x, by_weight = stacked(weight, 2), stacked(found[0], 2), stacked(found[1], 2)
    start = stacked(bias, 1).unsqueeze(1).sigmoid()
    by_bias = (maps @ stacked(found[3], 1).unsqueeze(-1)).mT.mul_((start - start.square()).square_()).neg_()
    start = _steps(start, torch.zeros_like(start), torch.empty_like(start))
    by_row, by_member = (stacked(logistic, 2), stacked(x, 2), stacked(g, 2), by_x), (start, maps, by_weight, by_bias)
    for (units, x_, g_, by_x_), (start_, weight_, total, total_bias), _, memory in tiles(by_row, by_member, 2, _TILE):
        steps, slopes = memory.view(2, *units.shape).unbind()
        total.baddbmm_(_steps(units, start_, steps).mT, g_)
        torch.bmm(g_, weight_.mT, out=slopes)
        torch.addcmul(units, units, units, value=-1, out=steps)
        slopes.mul_(steps).mul_(steps)  # a sixth of the derivative
        total_bias += slopes.sum(1, keepdim=True)
        total.baddbmm_(slopes.mT, x_, alpha=6)
        torch.baddbmm(by_bias.new_zeros(()), slopes, weight_, beta=0, alpha=6, out=by_x_)
    torch.mul(by_bias, 6, out=stacked(found[2], 1).unsqueeze(1))
    return found


_LIBRARY.impl("tied_step", _forward, "CPU")
_LIBRARY.impl("tied_step_backward", _backward, "CPU")


@torch.library.register_fake("lamina::tied_step", lib=_LIBRARY)
def _(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(*x.shape[:-1], weight.shape[-2])


@torch.library.register_fake("lamina::tied_step_backward", lib=_LIBRARY)
def _(g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, logistic: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), weight.new_empty(weight.shape), bias.new_empty(bias.shape), g.sum(-2)


class _TiedStep(Operator):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ops.lamina.tied_step(x, weight, bias, shift)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:3], output[1])
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        again = torch.is_grad_enabled()  # a derivative of the derivative is wanted
        return (_plain_backward if again else torch.ops.lamina.tied_step_backward)(g, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        members = members_first(info.batch_size, dims, inputs)
        return _TiedStep.apply(*members), (0, 0)  # pyright: ignore[reportReturnType]


def _slope(u: Tensor) -> Tensor:
    """The derivative of `smooth_step`."""
    step = u.sigmoid()
    return 6 * (step - step.square()).square()


def _plain_backward(g: Tensor, x: Tensor, weight: Tensor, bias: Tensor, _: Tensor) -> tuple[Tensor, ...]:
    """What `_backward` computes, in operations that can be differentiated."""
    u = x @ weight.mT + bias.unsqueeze(-2)
    above = g @ weight.mT
    slopes = above * _slope(u)
    by_weight = (smooth_step(u) - smooth_step(bias).unsqueeze(-2)).mT @ g + slopes.mT @ x
    return slopes @ weight, by_weight, slopes.sum(-2) - _slope(bias) * above.sum(-2), g.sum(-2)
