"""Growing waves of inputs of length one, whose derivative is made of their values, with no copy of the inputs."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.kernels.waves import values_of_waves, waves_backward

_LEAST = 2**17  # numbers of the inputs: with fewer, plain operations take less time than the call of an operator
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("unit_waves(Tensor x, Tensor weight, float growth, float phase) -> (Tensor, Tensor)")
_LIBRARY.define("unit_waves_backward(Tensor g, Tensor x, Tensor weight, Tensor y, Tensor z, float growth) -> Tensor")


def unit_waves(x: Tensor, weight: Tensor, growth: float, phase: float) -> Tensor:
    r"""Waves of the products of fixed weights and inputs that are brought to length one.

    .. math:: e^{\lambda z} \big[ \cos(z + \varphi),\ \sin(z + \varphi) \big], \qquad z = W \hat x, \qquad
              \hat x = (x, \sqrt n) / \sqrt{\lVert x \rVert^2 + n}

    The constant in :math:`\hat x` keeps lengths apart. On a processor and for many numbers it is an operator: its
    derivative is made of the values, and what the length brings is added to the product in place. Otherwise, and under
    `torch.compile`, `torch.export` and autocast, it is plain operations. It can be differentiated as often as one
    likes, by `x`.

    Args:
        x: any :math:`n` numbers, ``(*, features)``.
        weight: ``(outputs, features + 1)``.
        growth: :math:`\lambda`.
        phase: :math:`\varphi`.

    Returns:
        ``(*, 2 * outputs)``, first all cosines.
    """
    if torch.compiler.is_compiling() or not _has_operator(x):
        return values_of_waves(_products(x, weight), growth, phase)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    y: Any = _UnitWaves.apply(rows, weight, growth, phase)
    return y[0].view(*x.shape[:-1], 2 * len(weight))


def _has_operator(x: Tensor) -> bool:
    return x.is_cpu and x.numel() >= _LEAST and not torch.is_autocast_enabled(x.device.type)


def _products(x: Tensor, weight: Tensor) -> Tensor:
    n = x.shape[-1]
    length = (x.square().sum(-1, keepdim=True) + n).sqrt()
    return F.linear(x, weight[:, :-1], math.sqrt(n) * weight[:, -1]) / length


def _inverse_length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().add_(x.shape[-1]).rsqrt_()


def _forward(x: Tensor, weight: Tensor, growth: float, phase: float) -> tuple[Tensor, Tensor]:
    z = x @ weight[..., :-1].mT
    z.add_(weight[..., -1].unsqueeze(-2), alpha=math.sqrt(x.shape[-1])).mul_(_inverse_length(x))
    return values_of_waves(z, growth, phase), z


def _backward(g: Tensor, x: Tensor, weight: Tensor, y: Tensor, z: Tensor, growth: float) -> Tensor:
    inverse = _inverse_length(x)
    scaled = waves_backward(g, y, growth).mul_(inverse)
    along = (scaled * z).sum(-1, keepdim=True).mul_(inverse)
    return (scaled @ weight[..., :-1]).addcmul_(along, x, value=-1)


_LIBRARY.impl("unit_waves", _forward, "CPU")
_LIBRARY.impl("unit_waves_backward", _backward, "CPU")


@torch.library.register_fake("lamina::unit_waves", lib=_LIBRARY)
def _(x: Tensor, weight: Tensor, growth: float, phase: float) -> tuple[Tensor, Tensor]:
    rows, outputs = x.shape[:-1], weight.shape[-2]
    return x.new_empty(*rows, 2 * outputs), x.new_empty(*rows, outputs)


@torch.library.register_fake("lamina::unit_waves_backward", lib=_LIBRARY)
def _(g: Tensor, x: Tensor, weight: Tensor, y: Tensor, z: Tensor, growth: float) -> Tensor:
    return x.new_empty(x.shape)


class _UnitWaves(torch.autograd.Function):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, growth: float, phase: float) -> tuple[Tensor, Tensor]:
        return torch.ops.lamina.unit_waves(x, weight, growth, phase)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        x, weight, ctx.growth, ctx.phase = inputs
        ctx.save_for_backward(x, weight, *output)
        ctx.save_for_forward(x, weight, *output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        x, weight, y, z = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of the derivative is wanted
            return _plain_backward(g, x, weight, ctx.growth, ctx.phase), None, None, None
        return torch.ops.lamina.unit_waves_backward(g, x, weight, y, z, ctx.growth), None, None, None

    @staticmethod
    def jvp(ctx: Any, x: Tensor, *_: Any) -> tuple[Tensor, None]:
        place, weight, y, z = ctx.saved_tensors
        square = place.square().sum(-1, keepdim=True) + place.shape[-1]
        t = x @ weight[..., :-1].mT / square.sqrt() - z * (x * place).sum(-1, keepdim=True) / square
        cosine, sine = y.chunk(2, -1)
        return torch.cat([t * (ctx.growth * cosine - sine), t * (ctx.growth * sine + cosine)], dim=-1), None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, weight: Tensor, growth: float, phase: float
    ) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
        stacked = [
            t.expand(info.batch_size, *t.shape) if d is None else t.movedim(d, 0)
            for t, d in ((x, dims[0]), (weight, dims[1]))
        ]
        return _UnitWaves.apply(*stacked, growth, phase), (0, 0)  # pyright: ignore[reportReturnType]


def _plain_backward(g: Tensor, x: Tensor, weight: Tensor, growth: float, phase: float) -> Tensor:
    """What `_backward` computes, in operations that can be differentiated."""
    n = x.shape[-1]
    square = x.square().sum(-1, keepdim=True) + n
    z = (x @ weight[..., :-1].mT + math.sqrt(n) * weight[..., -1].unsqueeze(-2)) / square.sqrt()
    scaled = waves_backward(g, values_of_waves(z, growth, phase), growth) / square.sqrt()
    return scaled @ weight[..., :-1] - (scaled * z / square.sqrt()).sum(-1, keepdim=True) * x
