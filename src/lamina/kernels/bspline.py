"""B-splines on equal intervals, in closed form: as plain operations, and as an operator that stays in the cache."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from numpy.polynomial import Polynomial
from torch import Tensor

from lamina.kernels import plain_wanted
from lamina.kernels.scratch import scratch

# Numbers of a tile: what is computed at a time, small enough for a core's own cache with all its splines.
TILE = 16_384
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
    if x.device.type in ("cpu", "meta") and not plain_wanted():
        return _SplineEdges.apply(x, low, scale, grid, degree)  # pyright: ignore[reportReturnType]
    return plain_edges(x, low, scale, grid, degree)


def plain_edges(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """What `spline_edges` computes, in plain operations."""
    u = ((x - low) * scale).clamp(0, grid)
    return torch.cat([F.silu(x).unsqueeze(-2), bspline(distances(u, grid, degree), degree)], dim=-2)


def _terms(degree: int) -> list[tuple[float, float]]:
    """The knots of the central B-spline right of its centre, and the weights of the powers that begin there."""
    return [
        ((degree + 1) / 2 - j, (-1) ** j * math.comb(degree + 1, j) / math.factorial(degree))
        for j in range(math.ceil((degree + 1) / 2))
    ]


def distances(u: Tensor, grid: int, degree: int) -> Tensor:
    """In intervals, from places ``(*, features)`` to the centres of all B-splines, ``(*, splines, features)``."""
    centres = torch.arange(grid + degree, device=u.device, dtype=u.dtype) - (degree - 1) / 2
    return u.unsqueeze(-2) - centres.unsqueeze(-1)


@cache
def _pieces(degree: int, derivative: int, dtype: torch.dtype) -> Tensor:
    r"""The splines over one interval as polynomials of the place ``t`` in it, from 0 to 1: a row of coefficients each.

    After Cox and de Boor, :math:`p\,B_{j,p} = (t + p - j)\,B_{j-1,p-1} + (1 + j - t)\,B_{j,p-1}`.
    """
    pieces = [Polynomial([1.0])]
    for p in range(1, degree + 1):
        nothing = Polynomial([0.0])
        pairs = zip([nothing, *pieces], [*pieces, nothing], strict=True)
        pieces = [
            (Polynomial([p - j, 1]) * left + Polynomial([1 + j, -1]) * right) / p
            for j, (left, right) in enumerate(pairs)
        ]
    rows = [piece.deriv(derivative).coef for piece in pieces]
    width = degree + 1 - derivative
    return torch.tensor([[*row, *[0.0] * width][:width] for row in rows], dtype=dtype)


class _Tile(NamedTuple):
    """Memory for the splines of some numbers; the numbers stand last, because loops over a handful are slow.

    Its views are made once: to make them costs as much as the arithmetic of a small tile.
    """

    powers: Tensor  # (degree + 1, numbers) of the place in an interval
    power: tuple[Tensor, ...]
    values: Tensor  # (degree + 1, numbers) of the splines over that interval, or their slopes
    value: tuple[Tensor, ...]
    here: Tensor  # (grid, numbers), 1 at the interval of a number and 0 elsewhere
    total: Tensor  # (grid, numbers)
    windows: tuple[Tensor, ...]  # (grid, numbers) of all splines, from the j-th on
    rest: Tensor  # (degree, numbers), those beyond the first window
    rows: Tensor  # (rows, splines, features), all splines


class _Held(threading.local):
    """The tiles of a thread, all in the same memory."""

    def __init__(self) -> None:
        self.memory = torch.empty(0)
        self.tiles: dict[tuple[int, ...], _Tile] = {}


_HELD = _Held()


def _tile(like: Tensor, rows: int, grid: int, degree: int) -> _Tile:
    features, order = like.shape[-1], degree + 1
    n, sizes = rows * features, (order, order, grid, grid, grid + degree)
    memory = scratch(like, n * sum(sizes), "splines")
    if memory is not _HELD.memory or len(_HELD.tiles) > 64:
        _HELD.memory, _HELD.tiles = memory, {}
    key = rows, features, grid, degree
    if key not in _HELD.tiles:
        powers, values, here, total, splines = memory[: n * sum(sizes)].view(-1, n).split(sizes)
        windows = tuple(splines[j : j + grid] for j in range(order))
        by_row = splines.view(grid + degree, rows, features).transpose(0, 1)
        _HELD.tiles[key] = _Tile(
            powers, tuple(powers), values, tuple(values), here, total, windows, splines[grid:], by_row
        )
    return _HELD.tiles[key]


def _tiles(t: Tensor, cell: Tensor, grid: int, degree: int, derivative: int) -> Iterator[tuple[slice, _Tile]]:
    """Parts of the rows of a matrix, each with the values there of the splines that are not zero."""
    pieces = _pieces(degree, derivative, t.dtype)
    intervals = _intervals(grid, t.dtype)
    rows, features = t.shape
    room = TILE * torch.get_num_threads() * 8 // max(8, grid + degree)  # finer grids have smaller tiles
    size = max(1, min(rows, room // max(1, features)))
    for start in range(0, rows, size):
        part = slice(start, min(rows, start + size))
        tile = _tile(t, part.stop - start, grid, degree)
        place = t[part].view(-1)
        tile.power[0].fill_(1)
        for below, power in itertools.pairwise(tile.power[: pieces.shape[1]]):
            torch.mul(below, place, out=power)
        torch.mm(pieces, tile.powers[: pieces.shape[1]], out=tile.values)
        torch.eq(cell[part].view(-1), intervals, out=tile.here)
        yield part, tile


@cache
def _intervals(grid: int, dtype: torch.dtype) -> Tensor:
    return torch.arange(grid, dtype=dtype).unsqueeze(-1)


def _places(x: Tensor, low: Tensor, scale: Tensor, grid: int) -> tuple[Tensor, Tensor, Tensor]:
    """Places on the grid, and as matrices the intervals they lie in and the places there, from 0 to 1."""
    place = ((x - low) * scale).contiguous()
    u = place.clamp(0, grid).view(-1, x.shape[-1])
    cell = u.floor().clamp_(max=grid - 1)
    return place, cell, u.sub_(cell)


def tiled_edges(x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int, out: Tensor | None = None) -> Tensor:
    """What `spline_edges` computes, a tile of rows at a time: the form of the operator on a processor."""
    edges = x.new_empty(*x.shape[:-1], grid + degree + 1, x.shape[-1]) if out is None else out
    flat = edges.view(-1, *edges.shape[-2:])
    torch.ops.aten.silu.out(x.reshape(-1, x.shape[-1]), out=flat[:, 0])
    _, cell, t = _places(x, low, scale, grid)
    for part, tile in _tiles(t, cell, grid, degree, 0):
        tile.rest.zero_()
        torch.mul(tile.here, tile.value[0], out=tile.windows[0])
        for window, value in zip(tile.windows[1:], tile.value[1:], strict=True):
            window.addcmul_(tile.here, value)
        flat[part, 1:] = tile.rows
    return edges


def tiled_edges_backward(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """The derivative of `tiled_edges` times `g`."""
    place, cell, t = _places(x, low, scale, grid)
    g = g.reshape(-1, grid + degree + 1, x.shape[-1])
    gradient = torch.empty_like(t)
    for part, tile in _tiles(t, cell, grid, degree, 1):
        tile.rows.copy_(g[part, 1:])
        torch.mul(tile.windows[0], tile.value[0], out=tile.total)
        for window, slope in zip(tile.windows[1:], tile.value[1:], strict=True):
            tile.total.addcmul_(window, slope)
        torch.sum(tile.total.mul_(tile.here), 0, out=gradient[part].view(-1))
    inside = torch.ops.aten.hardtanh_backward(gradient.view_as(place), place, 0, grid).mul_(scale)
    return inside.add_(torch.ops.aten.silu_backward(g[:, 0].reshape(x.shape), x))


_LIBRARY.impl("spline_edges", tiled_edges, "CPU")
_LIBRARY.impl("spline_edges_backward", tiled_edges_backward, "CPU")


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
        compute = plain_edges_backward if again else torch.ops.lamina.spline_edges_backward
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


def plain_edges_backward(g: Tensor, x: Tensor, low: Tensor, scale: Tensor, grid: int, degree: int) -> Tensor:
    """The derivative of `plain_edges` times `g`, to be differentiated again: a spline's slope is that of two lower."""
    place = (x - low) * scale
    v = distances(place.clamp(0, grid), grid, degree)
    slopes = bspline(v + 0.5, degree - 1) - bspline(v - 0.5, degree - 1)
    inside = ((place > 0) & (place < grid)).to(x.dtype)
    sigmoid = x.sigmoid()
    return (g[..., 1:, :] * slopes).sum(-2) * scale * inside + g[..., 0, :] * sigmoid * (1 + x * (1 - sigmoid))
