"""A narrow perceptron on CUDA: a program takes a tile of rows through all layers, activations never leave the chip."""
# pyright: reportMissingImports=false, reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

# Three products of shortened numbers on tensor cores come near to single precision. Registers would not hold the
# operands of an exact product of this size.
_PRECISION = tl.constexpr("tf32x3")
_PROGRAMS = 128  # of a backward pass: each has gradients of all weights of its own, so that none waits for another


@triton.jit
def _tile(x, member, row, rows, columns, BR: tl.constexpr, D: tl.constexpr):
    """Where a tile of a matrix is, and whether its entries are within the matrix."""
    r, d = row + tl.arange(0, BR), tl.arange(0, D)
    where = x + (member * rows + r[:, None]) * columns + d[None, :]
    return where, (r[:, None] < rows) & (d[None, :] < columns)


@triton.jit
def _layer(h, w, b, i, D: tl.constexpr):
    """Layer `i`, without its ReLU."""
    d = tl.arange(0, D)
    weight = tl.load(w + i * D * D + d[:, None] * D + d[None, :])
    return tl.dot(h, weight, input_precision=_PRECISION) + tl.load(b + i * D + d)[None, :]


@triton.jit
def _forward(x, w, b, y, rows, inputs, outputs, layers, BR: tl.constexpr, D: tl.constexpr):
    """A tile of the rows of a member."""
    row, member = tl.program_id(0) * BR, tl.program_id(1).to(tl.int64)
    w, b = w + member * layers * D * D, b + member * layers * D
    place, inside = _tile(x, member, row, rows, inputs, BR, D)
    h = tl.load(place, mask=inside, other=0.0)
    for i in range(layers - 1):
        h = tl.maximum(_layer(h, w, b, i, D), 0.0)
    place, inside = _tile(y, member, row, rows, outputs, BR, D)
    tl.store(place, _layer(h, w, b, layers - 1, D), mask=inside)


@triton.jit
def _add(gw, gb, h, part, i, BR: tl.constexpr, D: tl.constexpr):
    """Add a tile's gradients of the parameters of layer `i`."""
    d = tl.arange(0, D)
    weight, bias = gw + i * D * D + d[:, None] * D + d[None, :], gb + i * D + d
    tl.store(weight, tl.dot(tl.trans(h), part, tl.load(weight), input_precision=_PRECISION))
    tl.store(bias, tl.load(bias) + tl.sum(part, 0))


@triton.jit
def _through(part, w, i, D: tl.constexpr):
    """The gradient of the inputs of layer `i`."""
    d = tl.arange(0, D)
    weight = tl.load(w + i * D * D + d[None, :] * D + d[:, None])
    return tl.dot(part, weight, input_precision=_PRECISION)


@triton.jit
def _backward(
    g, x, w, b, hidden, gx, gw, gb, rows, inputs, outputs, layers,
    WANTED: tl.constexpr, BR: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Every so many tiles of the rows of a member: their activations again, then gradients layer by layer."""
    programs, member = tl.num_programs(0), tl.program_id(1).to(tl.int64)
    own = member * programs + tl.program_id(0)
    w, b = w + member * layers * D * D, b + member * layers * D
    gw, gb = gw + own * layers * D * D, gb + own * layers * D
    square = tl.arange(0, BR)[:, None] * D + tl.arange(0, D)[None, :]
    kept = hidden + own * layers * BR * D + square
    for row in range(tl.program_id(0) * BR, rows, programs * BR):
        place, inside = _tile(x, member, row, rows, inputs, BR, D)
        h = tl.load(place, mask=inside, other=0.0)
        for i in range(layers - 1):
            tl.store(kept + i * BR * D, h)
            h = tl.maximum(_layer(h, w, b, i, D), 0.0)
        tl.debug_barrier()  # what a thread has stored another may load
        top, within = _tile(g, member, row, rows, outputs, BR, D)
        part = tl.load(top, mask=within, other=0.0)
        for j in range(layers - 1):
            i = layers - 1 - j
            _add(gw, gb, h, part, i, BR, D)
            part = tl.where(h > 0, _through(part, w, i, D), 0.0)
            h = tl.load(kept + (i - 1) * BR * D)
        _add(gw, gb, h, part, 0, BR, D)
        if WANTED:
            place, inside = _tile(gx, member, row, rows, inputs, BR, D)
            tl.store(place, _through(part, w, 0, D), mask=inside)
        tl.debug_barrier()


def forward(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """What `lamina::narrow_mlp` computes."""
    members, rows, inputs, outputs = _sizes(x, weights)
    y = x.new_empty(*x.shape[:-1], outputs)
    if y.numel():
        w, b = _packed(members, weights, biases)
        size, warps = _tile_of(w.shape[-1])
        _forward[(triton.cdiv(rows, size), members)](
            x.contiguous(), w, b, y, rows, inputs, outputs, len(weights), BR=size, D=w.shape[-1], num_warps=warps
        )
    return y


def backward(g: Tensor, x: Tensor, weights: list[Tensor], biases: list[Tensor], inputs: bool) -> list[Tensor]:
    """What `lamina::narrow_mlp_backward` computes: gradients of weights, of biases and, if wanted, of `x`."""
    members, rows, *sizes = _sizes(x, weights)
    w, b = _packed(members, weights, biases)
    layers, width = b.shape[1:]
    size, warps = _tile_of(width)
    programs = max(1, min(triton.cdiv(rows, size), _PROGRAMS // max(1, members)))
    hidden = x.new_empty(members, programs, layers, size, width)
    gx = torch.empty_like(x, memory_format=torch.contiguous_format)
    gw, gb = w.new_zeros(members, programs, *w.shape[1:]), w.new_zeros(members, programs, *b.shape[1:])
    if g.numel():
        _backward[(programs, members)](
            g.contiguous(), x.contiguous(), w, b, hidden, gx, gw, gb, rows, *sizes, layers,
            WANTED=inputs, BR=size, D=width, num_warps=warps,
        )  # fmt: skip
    slopes, shifts = gw.sum(1), gb.sum(1)
    return [
        *(slopes[:, i, : t.shape[-1], : t.shape[-2]].mT.reshape(t.shape) for i, t in enumerate(weights)),
        *(shifts[:, i, : t.shape[-1]].reshape(t.shape) for i, t in enumerate(biases)),
        *([gx] if inputs else []),
    ]


def _tile_of(width: int) -> tuple[int, int]:
    """Rows of a tile, and warps that work on it: what the registers hold."""
    return (32, 4) if width <= 64 else (16, 8)


def _sizes(x: Tensor, weights: list[Tensor]) -> tuple[int, int, int, int]:
    """Members, rows, inputs, outputs."""
    return x.shape[:-2].numel(), x.shape[-2], x.shape[-1], weights[-1].shape[-2]


def _packed(members: int, weights: list[Tensor], biases: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Parameters as ``(members, layers, D, D)`` and ``(members, layers, D)``, inputs first.

    ``D`` is a power of two: units that there are not have weights and biases of zero, and so have no effect.
    """
    width = max(16, *(triton.next_power_of_2(max(weight.shape[-2:])) for weight in weights))
    w = weights[0].new_zeros(members, len(weights), width, width)
    b = weights[0].new_zeros(members, len(weights), width)
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        outputs, inputs = weight.shape[-2:]
        w[:, i, :inputs, :outputs] = weight.mT.reshape(members, inputs, outputs)
        b[:, i, :outputs] = bias.reshape(members, outputs)
    return w, b
