"""A whole spline layer on CUDA: no spline is ever in memory, each is computed where a product takes it up."""
# pyright: reportMissingImports=false, reportArgumentType=false, reportGeneralTypeIssues=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from lamina.kernels.bspline import terms

_ROWS, _FEATURES, _OUTPUTS = 64, 32, 64
_PROGRAMS = 512  # enough for every multiprocessor


@triton.jit
def _place(x, low, scale, at, rows, features, grid, BR: tl.constexpr, BF: tl.constexpr, row, feature):
    """A tile of the inputs, their places on the grids before and after clamping, and the scales."""
    r, f = row + tl.arange(0, BR), feature + tl.arange(0, BF)
    inside = (r[:, None] < rows) & (f[None, :] < features)
    value = tl.load(x + at * rows * features + r[:, None] * features + f[None, :], mask=inside, other=0.0)
    start = tl.load(low + at * features + f, mask=f < features, other=0.0)
    rate = tl.load(scale + at * features + f, mask=f < features, other=1.0)
    place = (value - start[None, :]) * rate[None, :]
    return value, place, tl.minimum(tl.maximum(place, 0.0), grid * 1.0), rate


@triton.jit
def _powers(distance, weights, DEGREE: tl.constexpr, POWER: tl.constexpr):
    """The weighted sum of the powers of what is left to each knot on one side."""
    total = distance * 0.0
    for j in tl.static_range((DEGREE + 2) // 2):
        left = tl.maximum((DEGREE + 1) / 2 - j - distance, 0.0)
        power = tl.where(left > 0, 1.0, 0.0)
        for _ in tl.static_range(POWER):
            power *= left
        total += tl.load(weights + j) * power
    return total


@triton.jit
def _edge(value, u, weights, k, DEGREE: tl.constexpr):
    """SiLU for `k` 0, else the B-spline number `k`."""
    edge = value * tl.sigmoid(value)
    if k > 0:
        edge = _powers(tl.abs(u - k + (DEGREE + 1) / 2), weights, DEGREE, DEGREE)
    return edge


@triton.jit
def _forward(
    x, low, scale, w, weights, y, rows, features, outputs, grid,
    DEGREE: tl.constexpr, BR: tl.constexpr, BF: tl.constexpr, BO: tl.constexpr,
):  # fmt: skip
    """A tile of the outputs of a member."""
    row, output, at = tl.program_id(0) * BR, tl.program_id(1) * BO, tl.program_id(2).to(tl.int64)
    r, o, edges = row + tl.arange(0, BR), output + tl.arange(0, BO), grid + DEGREE + 1
    total = tl.zeros((BR, BO), dtype=tl.float32)
    for feature in range(0, features, BF):
        value, _, u, _ = _place(x, low, scale, at, rows, features, grid, BR, BF, row, feature)
        f = feature + tl.arange(0, BF)
        for k in range(edges):
            edge = _edge(value, u, weights, k, DEGREE)
            where = ((at * outputs + o[None, :]) * edges + k) * features + f[:, None]
            part = tl.load(w + where, mask=(f[:, None] < features) & (o[None, :] < outputs), other=0.0)
            total = tl.dot(edge, part, total, input_precision="ieee")
    where = (at * rows + r[:, None]) * outputs + o[None, :]
    tl.store(y + where, total, mask=(r[:, None] < rows) & (o[None, :] < outputs))


@triton.jit
def _by_input(
    g, x, low, scale, w, weights, gx, rows, features, outputs, grid,
    DEGREE: tl.constexpr, BR: tl.constexpr, BF: tl.constexpr, BO: tl.constexpr,
):  # fmt: skip
    """A tile of the gradients of the inputs."""
    row, feature, at = tl.program_id(0) * BR, tl.program_id(1) * BF, tl.program_id(2).to(tl.int64)
    r, f, edges = row + tl.arange(0, BR), feature + tl.arange(0, BF), grid + DEGREE + 1
    value, place, u, rate = _place(x, low, scale, at, rows, features, grid, BR, BF, row, feature)
    sloping = tl.where((place > 0) & (place < grid), -DEGREE * rate[None, :], 0.0)
    total = tl.zeros((BR, BF), dtype=tl.float32)
    for k in range(edges):
        back = tl.zeros((BR, BF), dtype=tl.float32)
        for output in range(0, outputs, BO):
            o = output + tl.arange(0, BO)
            above = (at * rows + r[:, None]) * outputs + o[None, :]
            part = tl.load(g + above, mask=(r[:, None] < rows) & (o[None, :] < outputs), other=0.0)
            where = ((at * outputs + o[:, None]) * edges + k) * features + f[None, :]
            into = tl.load(w + where, mask=(o[:, None] < outputs) & (f[None, :] < features), other=0.0)
            back = tl.dot(part, into, back, input_precision="ieee")
        if k == 0:
            sigmoid = tl.sigmoid(value)
            slope = sigmoid * (1 + value * (1 - sigmoid))
        else:
            v = u - k + (DEGREE + 1) / 2
            side = tl.where(v > 0, 1.0, 0.0) - tl.where(v < 0, 1.0, 0.0)
            slope = _powers(tl.abs(v), weights, DEGREE, DEGREE - 1) * side * sloping
        total += back * slope
    where = (at * rows + r[:, None]) * features + f[None, :]
    tl.store(gx + where, total, mask=(r[:, None] < rows) & (f[None, :] < features))


@triton.jit
def _by_weight(
    g, x, low, scale, weights, gw, rows, features, outputs, grid, share,
    DEGREE: tl.constexpr, BR: tl.constexpr, BF: tl.constexpr, BO: tl.constexpr,
):  # fmt: skip
    """A tile of the gradients of the weights of one edge function, from a share of the rows."""
    edges = grid + DEGREE + 1
    across, at = tl.cdiv(features, BF), tl.program_id(2).to(tl.int64)
    feature, output = tl.program_id(0) % across * BF, tl.program_id(0) // across * BO
    k, part = tl.program_id(1) % edges, tl.program_id(1) // edges
    f, o = feature + tl.arange(0, BF), output + tl.arange(0, BO)
    total = tl.zeros((BO, BF), dtype=tl.float32)
    for row in range(part * share, min(rows, (part + 1) * share), BR):
        value, _, u, _ = _place(x, low, scale, at, rows, features, grid, BR, BF, row, feature)
        edge, r = _edge(value, u, weights, k, DEGREE), row + tl.arange(0, BR)
        above = (at * rows + r[None, :]) * outputs + o[:, None]
        down = tl.load(g + above, mask=(r[None, :] < rows) & (o[:, None] < outputs), other=0.0)
        total = tl.dot(down, edge, total, input_precision="ieee")
    where = (((part * tl.num_programs(2) + at) * outputs + o[:, None]) * edges + k) * features + f[None, :]
    tl.store(gw + where, total, mask=(o[:, None] < outputs) & (f[None, :] < features))


def forward(x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int) -> Tensor:
    """What `lamina::spline_linear` computes."""
    members, rows, features, outputs = _sizes(x, weight)
    y = x.new_empty(*x.shape[:-1], outputs)
    if y.numel():
        blocks = (triton.cdiv(rows, _ROWS), triton.cdiv(outputs, _OUTPUTS), members)
        _forward[blocks](
            *_inputs(x, low, scale, weight), _weights(x, degree), y, rows, features, outputs, grid,
            DEGREE=degree, BR=_ROWS, BF=_FEATURES, BO=_OUTPUTS,
        )  # fmt: skip
    return y


def backward(
    g: Tensor, x: Tensor, low: Tensor, scale: Tensor, weight: Tensor, grid: int, degree: int
) -> tuple[Tensor, Tensor]:
    """What `lamina::spline_linear_backward` computes: the gradients of `x` and `weight`."""
    members, rows, features, outputs = _sizes(x, weight)
    gx = torch.empty_like(x, memory_format=torch.contiguous_format)
    if not g.numel():
        return gx, torch.zeros_like(weight, memory_format=torch.contiguous_format)
    g, x, low, scale, weight = _inputs(g, x, low, scale, weight)
    sizes = (rows, features, outputs, grid)
    blocks = {"DEGREE": degree, "BR": _ROWS, "BF": _FEATURES, "BO": _OUTPUTS}
    across = triton.cdiv(features, _FEATURES)
    _by_input[(triton.cdiv(rows, _ROWS), across, members)](
        g, x, low, scale, weight, _weights(x, degree), gx, *sizes, **blocks
    )
    # few weights give few programs: each then adds up a part of the rows
    tiles, edges = across * triton.cdiv(outputs, _OUTPUTS), grid + degree + 1
    parts = max(1, min(triton.cdiv(rows, _ROWS), _PROGRAMS // (tiles * edges * members)))
    share = triton.cdiv(triton.cdiv(rows, _ROWS), parts) * _ROWS
    gw = x.new_empty(parts, *weight.shape)
    _by_weight[(tiles, edges * parts, members)](g, x, low, scale, _weights(x, degree), gw, *sizes, share, **blocks)
    return gx, gw.sum(0)


def _sizes(x: Tensor, weight: Tensor) -> tuple[int, int, int, int]:
    """Members, rows, features, outputs."""
    return x.shape[:-2].numel(), x.shape[-2], x.shape[-1], weight.shape[-3]


def _inputs(*given: Tensor) -> list[Tensor]:
    return [t.contiguous() for t in given]


def _weights(x: Tensor, degree: int) -> Tensor:
    return x.new_tensor([weight for _, weight in terms(degree)])
