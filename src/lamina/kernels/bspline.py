"""B-splines on equal intervals, in closed form: as plain operations, and as an operator of compiled loops."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops, members_first

_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("spline_edges(Tensor x, Tensor low, Tensor scale, int grid, int degree) -> Tensor")
_LIBRARY.define("spline_edges_backward(Tensor g, Tensor x, Tensor low, Tensor scale, int grid, int degree) -> Tensor")


def bspline(v: Tensor, degree: int) -> Tensor:
    r"""The central B-spline on intervals of length one, at any distance from its centre.

    .. math:: B(v) = \frac1{p!} \sum_{0 \le j < (p+1)/2} (-1)^j \binom{p+1}{j}
              \max\big(\tfrac{p+1}2 - j - |v|,\ 0\big)^p

    The sum runs over the knots of one side alone. That is enough by symmetry, and numbers do not cancel as they do in
    the sum over all.

    Args:
        v: distances.
        degree: :math:`p`, at least 0.

    Source:
        Schoenberg 1946, Contributions to the problem of approximation of equidistant data by analytic functions,
        doi:10.1090/qam/15914.
    """
    if degree == 0:
        return ((v >= -0.5) & (v < 0.5)).to(v.dtype)
    distance = v.abs()
    (knot, weight), *others = terms(degree)
    total = weight * (knot - distance).relu().pow(degree)
    for knot, weight in others:
        total = total + weight * (knot - distance).relu().pow(degree)
    return total


def spline_edges(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    r"""SiLU and all B-splines of every number: what a spline layer multiplies with its weights.

    With :math:`u = \mathrm{clamp}((x - \mathrm{low}) \cdot \mathrm{scale}, 0, G)`,

    .. math:: e_0 = \mathrm{silu}(x), \qquad e_k = B\big(u - k + \tfrac{p+1}2\big), \quad k = 1 \ldots G + p .

    On a processor, in single and double precision, it is an operator of compiled loops. Under `torch.compile` and
    `torch.export`, and elsewhere, it is plain operations. Both can be differentiated as often as the splines.

    Args:
        x: any numbers, ``(*, features)``.
        low: where the grid of a feature begins, ``(features,)``.
        scale: intervals in a unit of the feature, ``(features,)``.
        grid: intervals :math:`G`.
        degree: :math:`p` of the splines, at least 1.

    Returns:
        ``(*, grid + degree + 1, features)``.
    """
    if has_loops(x, low, scale) and x.shape[-1] == low.shape[-1] == scale.shape[-1]:
        return _SplineEdges.apply(x, low, scale, grid, degree)  # pyright: ignore[reportReturnType]
    return plain_edges(x, low, scale, grid, degree)


def plain_edges(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """What `spline_edges` computes, in plain operations."""
    u = ((x - low) * scale).clamp(0, grid)
    return torch.cat([F.silu(x).unsqueeze(-2), bspline(distances(u, grid, degree), degree)], dim=-2)


def terms(degree: int) -> list[tuple[float, float]]:
    """The knots of the central B-spline right of its centre, and the weights of the powers that begin there."""
    return [
        ((degree + 1) / 2 - j, (-1) ** j * math.comb(degree + 1, j) / math.factorial(degree))
        for j in range(math.ceil((degree + 1) / 2))
    ]


def distances(u: Tensor, grid: int, degree: int) -> Tensor:
    """In intervals, from places ``(*, features)`` to the centres of all B-splines, ``(*, splines, features)``."""
    centres = torch.arange(grid + degree, device=u.device, dtype=u.dtype) - (degree - 1) / 2
    return u.unsqueeze(-2) - centres.unsqueeze(-1)


def _forward(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    from lamina.kernels import _bumps_loops

    edges = x.new_empty(*x.shape[:-1], grid + degree + 1, x.shape[-1])
    forward, _ = _bumps_loops.of("spline", degree)
    forward(*arrays(1, x, low, scale), grid, degree, 1, *arrays(2, edges))
    return edges


def _backward(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    from lamina.kernels import _bumps_loops

    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    _, backward = _bumps_loops.of("spline", degree)
    backward(*arrays(2, g), *arrays(1, x, low, scale), grid, degree, 1, *arrays(1, by_x))
    return by_x


_LIBRARY.impl("spline_edges", _forward, "CPU")
_LIBRARY.impl("spline_edges_backward", _backward, "CPU")


@torch.library.register_fake("lamina::spline_edges", lib=_LIBRARY)
def _(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], grid + degree + 1, x.shape[-1])


@torch.library.register_fake("lamina::spline_edges_backward", lib=_LIBRARY)
def _(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


class _SplineEdges(Operator):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
        return torch.ops.lamina.spline_edges(x, low, scale, grid, degree)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, int, int], output: Tensor) -> None:
        x, low, scale, ctx.grid, ctx.degree = inputs
        ctx.save_for_backward(x, low, scale)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, low, scale = ctx.saved_tensors
        again = torch.is_grad_enabled()  # a derivative of the derivative is wanted
        compute = plain_edges_backward if again else torch.ops.lamina.spline_edges_backward
        return compute(g, x, low, scale, ctx.grid, ctx.degree), None, None, None, None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int
    ) -> tuple[Tensor, int]:
        x, *grids = members_first(info.batch_size, dims[:3], (x, low, scale))
        # what has grids for members already, has all dimensions
        low, scale = (t if t.ndim == x.ndim else t[(slice(None), *[None] * (x.ndim - 2))] for t in grids)
        return _SplineEdges.apply(x, low, scale, grid, degree), 0  # pyright: ignore[reportReturnType]


def plain_edges_backward(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """The derivative of `plain_edges` times `g`, to be differentiated again: a spline's slope is that of two lower."""
    place = (x - low) * scale
    v = distances(place.clamp(0, grid), grid, degree)
    slopes = bspline(v + 0.5, degree - 1) - bspline(v - 0.5, degree - 1)
    # splines of degree 1 have a kink at the end
    inside = ((place >= 0) & (place <= grid if degree > 1 else place < grid)).to(x.dtype)
    sigmoid = x.sigmoid()
    return (g[..., 1:, :] * slopes).sum(-2) * scale * inside + g[..., 0, :] * sigmoid * (1 + x * (1 - sigmoid))
