"""Functions of the distance to equal centres: as plain operations, and as an operator that stays in the cache."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lamina.kernels import plain_wanted
from lamina.kernels.bspline import distances
from lamina.kernels.scratch import tiles

_TILE = 8_192  # numbers whose functions are computed at a time
_LEAST = 2**12  # places: with fewer, the calls of an operator take longer than plain operations
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("bumps(Tensor u, str kind, int grid, int degree) -> Tensor")
_LIBRARY.define("bumps_backward(Tensor g, Tensor u, str kind, int grid, int degree) -> Tensor")


def bumps(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    r"""One function, moved to each of ``grid + degree`` centres, at every place on a grid.

    .. math:: e_k = f\big(\mathrm{clamp}(u, 0, G) - k + \tfrac{p+1}2\big), \quad k = 1 \ldots G + p

    Of many places on a processor it is an operator that computes a tile of rows at a time, within the cache. Otherwise,
    and under `torch.compile` and `torch.export`, it is plain operations. Both can be differentiated as often as the
    function.

    Args:
        u: places, ``(*, features)``.
        kind: the function: radial, :math:`e^{-v^2}`; wavelet, :math:`(1 - v^2) e^{-v^2 / 2}`; or relu,
            :math:`\max(1 - (2 v / (p + 1))^2, 0)^2`.
        grid: intervals :math:`G`.
        degree: :math:`p`, that of the B-splines which have the same centres.

    Returns:
        ``(*, grid + degree, features)``.
    """
    if plain_wanted() or not u.is_cpu or u.numel() < _LEAST:
        return plain_bumps(u, kind, grid, degree)
    return _Bumps.apply(u, kind, grid, degree)  # pyright: ignore[reportReturnType]


def plain_bumps(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    """What `bumps` computes, in plain operations."""
    square = distances(u.clamp(0, grid), grid, degree).square()
    if kind == "radial":
        return (-square).exp()
    if kind == "wavelet":
        return (1 - square) * (-square / 2).exp()
    return (1 - square * (2 / (degree + 1)) ** 2).relu().square()


def _forward(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    found = u.new_empty(*u.shape[:-1], grid + degree, u.shape[-1])
    rows = u.clamp(0, grid).reshape(1, math.prod(u.shape[:-1]), u.shape[-1])
    out = found.view(*rows.shape[:2], grid + degree, u.shape[-1])
    for at, buffers in tiles(rows, grid + degree, _TILE):
        square = distances(rows[at], grid, degree)
        torch.mul(square, square, out=square)
        if kind == "radial":
            torch.exp(square.neg_(), out=out[at])
        elif kind == "wavelet":
            bell = torch.mul(square, -0.5, out=buffers.view(square.shape)).exp_()
            torch.addcmul(bell, square, bell, value=-1, out=out[at])
        else:
            root = square.mul_(-((2 / (degree + 1)) ** 2)).add_(1).relu_()
            torch.mul(root, root, out=out[at])
    return found


def _backward(g: Tensor, u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    rows = u.clamp(0, grid).reshape(1, math.prod(u.shape[:-1]), u.shape[-1])
    top, by_u = g.reshape(*rows.shape[:2], *g.shape[-2:]), torch.empty_like(rows)
    for at, buffers in tiles(rows, grid + degree, _TILE):
        v = distances(rows[at], grid, degree)
        square = torch.mul(v, v, out=buffers.view(v.shape))
        v.mul_(top[at])
        if kind == "radial":
            v.mul_(square.neg_().exp_()).mul_(-2)
        elif kind == "wavelet":
            v.mul_(square - 3).mul_(square.mul_(-0.5).exp_())
        else:
            factor = (2 / (degree + 1)) ** 2
            v.mul_(square.mul_(-factor).add_(1).relu_()).mul_(-4 * factor)
        torch.sum(v, -2, out=by_u[at])
    return by_u.view(u.shape).mul_((u >= 0) & (u <= grid))


_LIBRARY.impl("bumps", _forward, "CPU")
_LIBRARY.impl("bumps_backward", _backward, "CPU")


@torch.library.register_fake("lamina::bumps", lib=_LIBRARY)
def _(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    return u.new_empty(*u.shape[:-1], grid + degree, u.shape[-1])


@torch.library.register_fake("lamina::bumps_backward", lib=_LIBRARY)
def _(g: Tensor, u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    return u.new_empty(u.shape)


class _Bumps(torch.autograd.Function):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
        return torch.ops.lamina.bumps(u, kind, grid, degree)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, str, int, int], output: Tensor) -> None:
        u, *ctx.options = inputs
        ctx.save_for_backward(u)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        (u,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of the derivative is wanted
            (found,) = torch.func.vjp(lambda u: plain_bumps(u, *ctx.options), u)[1](g)
        else:
            found = torch.ops.lamina.bumps_backward(g, u, *ctx.options)
        return found, None, None, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], u: Tensor, *options: Any) -> tuple[Tensor, int]:
        assert dims[0] is not None
        return _Bumps.apply(u.movedim(dims[0], 0), *options), 0  # pyright: ignore[reportReturnType]
