"""Functions of the distance to equal centres: as plain operations, and as an operator of compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops
from lamina.kernels.bspline import bspline, distances

_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("bumps(Tensor u, str kind, int grid, int degree) -> Tensor")
_LIBRARY.define("bumps_backward(Tensor g, Tensor u, str kind, int grid, int degree) -> Tensor")


def bumps(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    r"""One function, moved to each of ``grid + degree`` centres, at every place on a grid.

    .. math:: e_k = f\big(\mathrm{clamp}(u, 0, G) - k + \tfrac{p+1}2\big), \quad k = 1 \ldots G + p

    On a processor, in single and double precision, it is an operator of compiled loops. Elsewhere, and under
    `torch.compile` and `torch.export`, it is plain operations. Both can be differentiated as often as the function.

    Args:
        u: places, ``(*, features)``.
        kind: the function: spline, the B-spline of this degree; radial, :math:`e^{-v^2}`; wavelet,
            :math:`(1 - v^2) e^{-v^2 / 2}`; or relu, :math:`\max(1 - (2 v / (p + 1))^2, 0)^2`.
        grid: intervals :math:`G`.
        degree: :math:`p`, that of the B-splines which have the same centres.

    Returns:
        ``(*, grid + degree, features)``.
    """
    if not has_loops(u):
        return plain_bumps(u, kind, grid, degree)
    return _Bumps.apply(u, kind, grid, degree)  # pyright: ignore[reportReturnType]


def plain_bumps(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    """What `bumps` computes, in plain operations."""
    v = distances(u.clamp(0, grid), grid, degree)
    if kind == "spline":
        return bspline(v, degree)
    square = v.square()
    if kind == "radial":
        return (-square).exp()
    if kind == "wavelet":
        return (1 - square) * (-square / 2).exp()
    return (1 - square * (2 / (degree + 1)) ** 2).relu().square()


def _forward(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    from lamina.kernels import _bumps_loops

    found = u.new_empty(*u.shape[:-1], grid + degree, u.shape[-1])
    (rows,) = arrays(1, u)
    forward, _ = _bumps_loops.of(kind, degree)
    forward(rows, *_places(rows), grid, degree, 0, *arrays(2, found))
    return found


def _backward(g: Tensor, u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    from lamina.kernels import _bumps_loops

    by_u = torch.empty_like(u, memory_format=torch.contiguous_format)
    (rows,) = arrays(1, u)
    _, backward = _bumps_loops.of(kind, degree)
    backward(*arrays(2, g), rows, *_places(rows), grid, degree, 0, *arrays(1, by_u))
    return by_u


def _places(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The grids of numbers that are places already."""
    return np.zeros((1, rows.shape[1]), rows.dtype), np.ones((1, rows.shape[1]), rows.dtype)


_LIBRARY.impl("bumps", _forward, "CPU")
_LIBRARY.impl("bumps_backward", _backward, "CPU")


@torch.library.register_fake("lamina::bumps", lib=_LIBRARY)
def _(u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    return u.new_empty(*u.shape[:-1], grid + degree, u.shape[-1])


@torch.library.register_fake("lamina::bumps_backward", lib=_LIBRARY)
def _(g: Tensor, u: Tensor, kind: str, grid: int, degree: int) -> Tensor:
    return u.new_empty(u.shape)


class _Bumps(Operator):
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
