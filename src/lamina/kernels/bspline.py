"""B-splines on equal intervals, in closed form: as plain operations, and as an operator that stays in the cache."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Numbers of a tile: what is computed at a time, small enough for a core's own cache with all its splines.
_TILE = 16_384
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("spline_edges(Tensor x, Tensor low, Tensor scale, int grid, int degree) -> Tensor")
_LIBRARY.define("spline_edges_backward(Tensor g, Tensor x, Tensor low, Tensor scale, int grid, int degree) -> Tensor")


class _Scratch(threading.local):
    """Memory that a thread keeps: handed out anew for each call, it would cost more than the arithmetic."""

    def __init__(self) -> None:
        self.held: dict[torch.dtype, Tensor] = {}

    def take(self, like: Tensor, count: int) -> Tensor:
        """At least `count` numbers of the type of `like`, of any value."""
        if like.dtype not in self.held or self.held[like.dtype].numel() < count:
            self.held[like.dtype] = like.new_empty(count)
        return self.held[like.dtype]


_SCRATCH = _Scratch()


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
    (knot, weight), *others = _terms(degree)
    total = weight * (knot - distance).relu().pow(degree)
    for knot, weight in others:
        total = total + weight * (knot - distance).relu().pow(degree)
    return total


def spline_edges(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    r"""SiLU and all B-splines of every number: what a spline layer multiplies with its weights.

    With :math:`u = \mathrm{clamp}((x - \mathrm{low}) \cdot \mathrm{scale}, 0, G)`,

    .. math:: e_0 = \mathrm{silu}(x), \qquad e_k = B\big(u - k + \tfrac{p+1}2\big), \quad k = 1 \ldots G + p .

    On a processor it is an operator that computes a tile of rows at a time, within the cache. Under `torch.compile` and
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
    if x.is_cpu and not torch.compiler.is_compiling():
        return _SplineEdges.apply(x, low, scale, grid, degree)  # pyright: ignore[reportReturnType]
    u = ((x - low) * scale).clamp(0, grid)
    return torch.cat([F.silu(x).unsqueeze(-2), bspline(_distances(u, grid, degree), degree)], dim=-2)


def _terms(degree: int) -> list[tuple[float, float]]:
    """The knots of the central B-spline right of its centre, and the weights of the powers that begin there."""
    return [
        ((degree + 1) / 2 - j, (-1) ** j * math.comb(degree + 1, j) / math.factorial(degree))
        for j in range(math.ceil((degree + 1) / 2))
    ]


def _centres(grid: int, degree: int, like: Tensor) -> Tensor:
    return torch.arange(grid + degree, device=like.device, dtype=like.dtype) - (degree - 1) / 2


def _distances(u: Tensor, grid: int, degree: int) -> Tensor:
    return u.unsqueeze(-2) - _centres(grid, degree, u).unsqueeze(-1)


def _tiles(u: Tensor, splines: int, buffers: int) -> Iterator[tuple[slice, list[Tensor]]]:
    """Parts of the rows of a matrix, each with buffers ``(splines, rows, features)``."""
    rows, features = u.shape
    size = max(1, min(rows, _TILE * torch.get_num_threads() // max(1, features)))
    scratch = _SCRATCH.take(u, buffers * splines * size * features)
    for start in range(0, rows, size):
        count = splines * min(size, rows - start) * features
        parts = scratch[: buffers * count].view(buffers, splines, -1, features).unbind()
        yield slice(start, start + size), list(parts)


def _powers(distance: Tensor, total: Tensor, term: Tensor, degree: int, power: int) -> None:
    """Put the weighted sum of the powers of what is left to each knot into `total`, all but the factor of the first."""
    knots = _terms(degree)
    for i, (knot, weight) in enumerate(knots):
        part = term if i else total
        torch.sub(distance.new_tensor(knot), distance, out=part).relu_()
        if power:
            part.pow_(power)
        else:
            part.sign_()
        if i:
            total.add_(part, alpha=weight / knots[0][1])


def _forward(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    edges = x.new_empty(*x.shape[:-1], grid + degree + 1, x.shape[-1])
    u = ((x - low) * scale).clamp_(0, grid).reshape(-1, x.shape[-1])
    silu, splines = edges.view(-1, *edges.shape[-2:]).split([1, grid + degree], dim=1)
    silu.copy_(F.silu(x).view_as(silu))
    centres = _centres(grid, degree, x)[:, None, None]
    first = _terms(degree)[0][1]
    for part, (distance, total, term) in _tiles(u, len(centres), buffers=3):
        torch.sub(u[part], centres, out=distance).abs_()
        _powers(distance, total, term, degree, degree)
        torch.mul(total, first, out=splines[part].transpose(0, 1))
    return edges


def _backward(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    place = (x - low) * scale
    u, gradient = place.clamp(0, grid).view(-1, x.shape[-1]), torch.empty_like(place)
    silu, splines = g.reshape(-1, grid + degree + 1, x.shape[-1]).split([1, grid + degree], dim=1)
    centres = _centres(grid, degree, x)[:, None, None]
    for part, (v, distance, total, term) in _tiles(u, len(centres), buffers=4):
        torch.sub(u[part], centres, out=v)
        torch.abs(v, out=distance)
        _powers(distance, total, term, degree, degree - 1)
        total.mul_(v.sign_()).mul_(splines[part].transpose(0, 1))
        torch.sum(total, 0, out=gradient.view_as(u)[part])
    gradient = torch.ops.aten.hardtanh_backward(gradient, place, 0, grid).mul_(scale * (-degree * _terms(degree)[0][1]))
    return gradient.add_(torch.ops.aten.silu_backward(silu.reshape(x.shape), x))


_LIBRARY.impl("spline_edges", _forward, "CPU")
_LIBRARY.impl("spline_edges_backward", _backward, "CPU")


@torch.library.register_fake("lamina::spline_edges", lib=_LIBRARY)
def _(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], grid + degree + 1, x.shape[-1])


@torch.library.register_fake("lamina::spline_edges_backward", lib=_LIBRARY)
def _(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


class _SplineEdges(torch.autograd.Function):
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
        compute = _plain_backward if again else torch.ops.lamina.spline_edges_backward
        return compute(g, x, low, scale, ctx.grid, ctx.degree), None, None, None, None

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int
    ) -> tuple[Tensor, int]:
        stacked = x.expand(info.batch_size, *x.shape) if dims[0] is None else x.movedim(dims[0], 0)
        own = [
            t if d is None else t.movedim(d, 0).reshape(-1, *[1] * (stacked.ndim - 2), stacked.shape[-1])
            for t, d in ((low, dims[1]), (scale, dims[2]))
        ]
        return _SplineEdges.apply(stacked, *own, grid, degree), 0  # pyright: ignore[reportReturnType]


def _plain_backward(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """What `_backward` computes, in operations that can be differentiated: a spline's slope is that of two lower."""
    place = (x - low) * scale
    v = _distances(place.clamp(0, grid), grid, degree)
    slopes = bspline(v + 0.5, degree - 1) - bspline(v - 0.5, degree - 1)
    inside = ((place > 0) & (place < grid)).to(x.dtype)
    sigmoid = x.sigmoid()
    return (g[..., 1:, :] * slopes).sum(-2) * scale * inside + g[..., 0, :] * sigmoid * (1 + x * (1 - sigmoid))
