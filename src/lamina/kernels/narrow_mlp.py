"""A perceptron of narrow layers, evaluated tile of rows by tile of rows, so that activations stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from lamina.kernels import Operator, has_triton, members_first, plain_wanted, stacked
from lamina.kernels.scratch import scratch

# Numbers of a tile's activations for each thread, all layers that are kept together: two megabytes in single precision.
# From a quarter to 16 times of this, one thread took the same time; in smaller tiles several threads wait more often.
_TILE = 524_288
_LEAST = 2**20  # numbers of an activation: fewer stay in the cache layer by layer too, and need not be computed again
_WIDEST_ON_CUDA = 128
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("narrow_mlp(Tensor x, Tensor[] weights, Tensor[] biases) -> Tensor")
_LIBRARY.define("narrow_mlp_backward(Tensor g, Tensor x, Tensor[] weights, Tensor[] biases, bool inputs) -> Tensor[]")


def narrow_mlp(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    r"""Dense layers with ReLU between them.

    .. math:: h_{l+1} = \max(W_l h_l + b_l,\ 0), \qquad y = W_L h_L + b_L

    Layer by layer, all rows of :math:`h_l` travel to memory and back between any two layers. Here a tile of rows goes
    through all layers before the next begins, and the derivative computes a tile's :math:`h_l` again instead of keeping
    them: only :math:`x`, :math:`y` and their gradients travel. Where activations of few rows would stay in the cache
    anyway, under `torch.compile` and `torch.export`, under autocast and on devices without such an operator it is
    `layer_by_layer`. It can be differentiated as often as one likes.

    Args:
        x: inputs, ``(*, in_features)``.
        weights: of each layer, ``(out_features, in_features)``, at least one.
        biases: of each layer, ``(out_features,)``.

    Returns:
        ``(*, out_features)`` of the last layer.

    Source:
        Yuan et al. 2024, Fully-fused Multi-Layer Perceptrons on Intel Data Center GPUs, arXiv:2403.17607.
    """
    if plain_wanted() or not _has_operator(x, weights) or torch.is_autocast_enabled(x.device.type):
        return layer_by_layer(x, weights, biases)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return _NarrowMLP.apply(rows, *weights, *biases).view(*x.shape[:-1], len(weights[-1]))


def layer_by_layer(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """What `narrow_mlp` computes, each layer for all rows before the next."""
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = F.linear(x, weight, bias).relu()
    return F.linear(x, weights[-1], biases[-1])


def _has_operator(x: Tensor, weights: Sequence[Tensor]) -> bool:
    widest = max(x.shape[-1], *(len(weight) for weight in weights))
    if x.is_cpu:
        return math.prod(x.shape[:-1]) * widest >= _LEAST
    narrow = x.is_cuda and x.dtype == torch.float32 and widest <= _WIDEST_ON_CUDA
    return narrow and has_triton()


def _tiles(x: Tensor, sizes: list[int]) -> Iterator[tuple[tuple[slice, slice], list[Tensor]]]:
    """Parts of the members and rows of a stack of matrices, each with matrices of `sizes` columns to compute in.

    As many members at a time as fit in whole; of one that does not, a part of its rows.
    """
    members, rows, _ = x.shape
    room = _TILE * torch.get_num_threads() // sum(sizes)
    group, size = max(1, min(members, room // max(1, rows))), max(1, min(rows, room))
    memory = scratch(x, group * size * sum(sizes))
    for member in range(0, members, group):
        for row in range(0, rows, size):
            m, r = min(group, members - member), min(size, rows - row)
            parts = memory[: m * r * sum(sizes)].split([m * r * s for s in sizes])
            yield (
                (slice(member, member + m), slice(row, row + r)),
                [part.view(m, r, s) for part, s in zip(parts, sizes, strict=True)],
            )


def _forward(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    y = x.new_empty(*x.shape[:-1], weights[-1].shape[-2])
    rows, out = stacked(x, 2), stacked(y, 2)
    maps, shifts = [stacked(w, 2).mT for w in weights], [stacked(b, 1).unsqueeze(1) for b in biases]
    widest = max((w.shape[-1] for w in maps[:-1]), default=1)
    for at, buffers in _tiles(rows, [widest, widest]):
        h = rows[at]
        for i, (w, b) in enumerate(zip(maps[:-1], shifts[:-1], strict=True)):
            h = torch.baddbmm(b[at[0]], h, w[at[0]], out=buffers[i % 2][..., : w.shape[-1]]).relu_()
        torch.baddbmm(shifts[-1][at[0]], h, maps[-1][at[0]], out=out[at])
    return y


def _backward(g: Tensor, x: Tensor, weights: list[Tensor], biases: list[Tensor], inputs: bool) -> list[Tensor]:
    """Gradients of all weights, then of all biases, then, if wanted, of `x`."""
    found = [t.new_zeros(t.shape) for t in (*weights, *biases)]
    if inputs:
        found.append(torch.empty_like(x, memory_format=torch.contiguous_format))
    rows, top, gx = stacked(x, 2), stacked(g, 2), stacked(found[-1], 2)
    maps, shifts = [stacked(w, 2) for w in weights], [stacked(b, 1).unsqueeze(1) for b in biases]
    into, plus = [stacked(t, 2) for t in found[: len(maps)]], [stacked(t, 1) for t in found[len(maps) : 2 * len(maps)]]
    widths = [w.shape[1] for w in maps[:-1]]
    widest = max(widths, default=1)
    for at, (*hidden, one, other) in _tiles(rows, [*widths, widest, widest]):
        member, h = at[0], [rows[at], *hidden]
        for i, out in enumerate(hidden):
            torch.baddbmm(shifts[i][member], h[i], maps[i][member].mT, out=out).relu_()
        part = top[at]
        for i in reversed(range(len(maps))):
            into[i][member].baddbmm_(part.mT, h[i])
            plus[i][member] += part.sum(1)
            if i:
                part = torch.bmm(part, maps[i][member], out=(one, other)[i % 2][..., : widths[i - 1]])
                torch.ops.aten.threshold_backward.grad_input(part, h[i], 0, grad_input=part)
            elif inputs:
                torch.bmm(part, maps[0][member], out=gx[at])
    return found


def _cuda_forward(*inputs: Any) -> Tensor:
    from lamina.kernels import _narrow_mlp_triton  # Triton does not come with torch for processors

    return _narrow_mlp_triton.forward(*inputs)


def _cuda_backward(*inputs: Any) -> list[Tensor]:
    from lamina.kernels import _narrow_mlp_triton

    return _narrow_mlp_triton.backward(*inputs)


_LIBRARY.impl("narrow_mlp", _forward, "CPU")
_LIBRARY.impl("narrow_mlp_backward", _backward, "CPU")
_LIBRARY.impl("narrow_mlp", _cuda_forward, "CUDA")
_LIBRARY.impl("narrow_mlp_backward", _cuda_backward, "CUDA")


@torch.library.register_fake("lamina::narrow_mlp", lib=_LIBRARY)
def _(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    return x.new_empty(*x.shape[:-1], weights[-1].shape[-2])


@torch.library.register_fake("lamina::narrow_mlp_backward", lib=_LIBRARY)
def _(g: Tensor, x: Tensor, weights: list[Tensor], biases: list[Tensor], inputs: bool) -> list[Tensor]:
    return [t.new_empty(t.shape) for t in (*weights, *biases, *([x] if inputs else []))]


@register_flop_formula(torch.ops.lamina.narrow_mlp)
def _(x: torch.Size, weights: list[torch.Size], *others: Any, **more: Any) -> int:
    return 2 * x[-2] * sum(math.prod(weight) for weight in weights)


class _NarrowMLP(Operator):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(x: Tensor, *params: Tensor) -> Tensor:
        return torch.ops.lamina.narrow_mlp(x, *_halves(params))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, *params = ctx.saved_tensors
        wanted = ctx.needs_input_grad[0]
        again = torch.is_grad_enabled()  # a derivative of the derivative is wanted
        compute = _plain_backward if again else torch.ops.lamina.narrow_mlp_backward
        found = compute(g, x, *_halves(params), wanted)
        return found[-1] if wanted else None, *found[: len(params)]

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], x: Tensor, *params: Tensor) -> tuple[Tensor, int]:
        if dims[0] is not None and not any(d is not None for d in dims[1:]):  # more rows of the same members
            rows = x.movedim(dims[0], -3)
            y: Any = _NarrowMLP.apply(rows.flatten(-3, -2), *params)
            return y.unflatten(-2, rows.shape[-3:-1]), x.ndim - 3
        members = members_first(info.batch_size, dims, (x, *params))
        return _NarrowMLP.apply(*members), 0  # pyright: ignore[reportReturnType]


def _halves(params: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases."""
    return list(params[: len(params) // 2]), list(params[len(params) // 2 :])


def _plain_backward(g: Tensor, x: Tensor, weights: list[Tensor], biases: list[Tensor], inputs: bool) -> list[Tensor]:
    """What `_backward` computes, in operations that can be differentiated."""
    h = [x]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        h.append((h[-1] @ weight.mT + bias.unsqueeze(-2)).relu())
    by_weight, by_bias = [], []
    for i in reversed(range(len(weights))):
        by_weight.append(g.mT @ h[i])
        by_bias.append(g.sum(-2))
        if i:
            g = (g @ weights[i]) * (h[i] > 0)
    return [*reversed(by_weight), *reversed(by_bias), *([g @ weights[0]] if inputs else [])]
