"""Cosines and sines of the same angles, whose derivatives are each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops, plain_wanted

_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("waves(Tensor z, float growth, float phase) -> Tensor")
_LIBRARY.define("waves_backward(Tensor g, Tensor values, float growth) -> Tensor")


def waves(z: Tensor, growth: float = 0.0, phase: float = 0.0) -> Tensor:
    r"""Cosines and sines of all angles, constant or growing.

    .. math:: e^{\lambda z} \big[ \cos(z + \varphi),\ \sin(z + \varphi) \big]

    The derivative is made of the values, with no other function of the angles. On a processor, in single and double
    precision, both are compiled loops. It can be taken as often as one likes.

    Args:
        z: angles, ``(*, features)``.
        growth: :math:`\lambda`. Default 0: constant waves.
        phase: :math:`\varphi`. Default 0.

    Returns:
        ``(*, 2 * features)``, first all cosines.
    """
    if plain_wanted():
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


def plain_waves_backward(g: Tensor, values: Tensor, growth: float) -> Tensor:
    """The derivative of `waves` by the angles, times `g`, in operations that can be differentiated."""
    (cosine, sine), (by_cosine, by_sine) = values.chunk(2, -1), g.chunk(2, -1)
    if growth:
        by_cosine, by_sine = by_cosine.sub(by_sine, alpha=growth), by_sine.add(by_cosine, alpha=growth)
    return torch.addcmul(by_sine * cosine, by_cosine, sine, value=-1)


def _forward(z: Tensor, growth: float, phase: float) -> Tensor:
    from lamina.kernels import _waves_loops as loops

    found = z.new_empty(*z.shape[:-1], 2 * z.shape[-1])
    near = loops.forward(*arrays(1, z), growth, phase, *arrays(1, found))
    return found if near else plain_waves(z, growth, phase)


def _backward(g: Tensor, values: Tensor, growth: float) -> Tensor:
    from lamina.kernels import _waves_loops as loops

    by_z = values.new_empty(*values.shape[:-1], values.shape[-1] // 2)
    loops.backward(*arrays(1, g, values), growth, *arrays(1, by_z))
    return by_z


_LIBRARY.impl("waves", _forward, "CPU")
_LIBRARY.impl("waves_backward", _backward, "CPU")


@torch.library.register_fake("lamina::waves", lib=_LIBRARY)
def _(z: Tensor, growth: float, phase: float) -> Tensor:
    return z.new_empty(*z.shape[:-1], 2 * z.shape[-1])


@torch.library.register_fake("lamina::waves_backward", lib=_LIBRARY)
def _(g: Tensor, values: Tensor, growth: float) -> Tensor:
    return values.new_empty(*values.shape[:-1], values.shape[-1] // 2)


class _Waves(Operator):
    """The waves with a derivative that is made of their values, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(z: Tensor, growth: float, phase: float) -> Tensor:
        compute = torch.ops.lamina.waves if has_loops(z) else plain_waves
        return compute(z, growth, phase)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        ctx.growth = inputs[1]
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        loops = has_loops(g, values) and not torch.is_grad_enabled()  # else a derivative of the derivative is wanted
        compute = torch.ops.lamina.waves_backward if loops else plain_waves_backward
        return compute(g, values, ctx.growth), None, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], z: Tensor, *options: float) -> tuple[Tensor, int]:
        assert dims[0] is not None
        return _Waves.apply(z.movedim(dims[0], 0), *options), 0  # pyright: ignore[reportReturnType]
