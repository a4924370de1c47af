"""Cosines and sines of the same angles, whose derivatives are each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lamina.kernels import Operator, plain_wanted

_LEAST = 2**11  # angles: the values of fewer are computed again sooner than the derivative is called


def waves(z: Tensor, growth: float = 0.0, phase: float = 0.0) -> Tensor:
    r"""Cosines and sines of all angles, constant or growing.

    .. math:: e^{\lambda z} \big[ \cos(z + \varphi),\ \sin(z + \varphi) \big]

    The derivative of many is made of the values, with no other function of the angles. It can be taken as often as one
    likes.

    Args:
        z: angles, ``(*, features)``.
        growth: :math:`\lambda`. Default 0: constant waves.
        phase: :math:`\varphi`. Default 0.

    Returns:
        ``(*, 2 * features)``, first all cosines.
    """
    if plain_wanted() or z.numel() < _LEAST:
        return plain_waves(z, growth, phase)
    return _Waves.apply(z, growth, phase)  # pyright: ignore[reportReturnType]


def plain_waves(z: Tensor, growth: float, phase: float) -> Tensor:
    """What `waves` computes, in plain operations."""
    angle = z + phase if phase else z
    cosine, sine = angle.cos(), angle.sin()
    if growth:
        size = (growth * z if growth != 1 else z).exp()
        cosine, sine = size * cosine, size * sine
    return torch.cat([cosine, sine], dim=-1)


def _backward(g: Tensor, values: Tensor, growth: float) -> Tensor:
    """The derivative of `waves` by the angles, times `g`."""
    (cosine, sine), (by_cosine, by_sine) = values.chunk(2, -1), g.chunk(2, -1)
    if growth:
        by_cosine, by_sine = by_cosine.sub(by_sine, alpha=growth), by_sine.add(by_cosine, alpha=growth)
    return torch.addcmul(by_sine * cosine, by_cosine, sine, value=-1)


class _Waves(Operator):
    """The waves with a derivative that is made of their values."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, growth: float, phase: float) -> Tensor:
        return plain_waves(z, growth, phase)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        ctx.growth = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _backward(g, ctx.saved_tensors[0], ctx.growth), None, None
