"""Attention over products of shifted SiLUs: as plain operations, and as an operator that stays in the cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.kernels import members_first, plain_wanted
from lamina.kernels.scratch import tiles

_TILE = 65_536  # numbers whose functions are computed at a time
_LEAST = 2**14  # numbers: with fewer, the calls of an operator take longer than plain operations
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("shifted_products(Tensor x, Tensor start, Tensor end, Tensor score, Tensor temperature) -> Tensor")
_LIBRARY.define(
    "shifted_products_backward(Tensor g, Tensor x, Tensor start, Tensor end, Tensor score, Tensor temperature) "
    "-> (Tensor, Tensor, Tensor, Tensor, Tensor)"
)


def shifted_products(
    x: Tensor,
    start: Tensor,
    end: Tensor,
    score: Tensor,
    temperature: Tensor,
    *,
    function: Callable[[Tensor], Tensor] = F.silu,
) -> Tensor:
    r"""Squared products of two shifted activations at every number, summed, and weighed by attention over a row.

    .. math:: z_i = n\,\mathrm{softmax}_i\Big(\tfrac1\tau \sum_k v_k A_k(x_i)\Big) \sum_k A_k(x_i), \qquad
              A_k(x_i) \propto \big(\sigma(x_i - s_k)\, \sigma(e_k - x_i)\big)^2

    The smallest of all :math:`A_k(x_i)` of a row is brought to 0 and the largest to 1. Of many numbers, with SiLU and
    on a processor, it is an operator that computes a tile of rows at a time, within the cache, and keeps nothing but
    its inputs. Otherwise, and under `torch.compile` and `torch.export`, it is plain operations. Both can be
    differentiated as often as one likes.

    Args:
        x: any numbers, ``(*, n)``.
        start, end, score: :math:`s`, :math:`e` and :math:`v`, ``(functions,)``.
        temperature: :math:`\tau`, ``(1,)``, above 0.
        function: :math:`\sigma`.

    Source:
        Ta and Tran 2025, AF-KAN: Activation Function-Based Kolmogorov-Arnold Networks for Efficient Representation
        Learning, arXiv:2503.06112.
    """
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    if plain_wanted() or not x.is_cpu or x.numel() < _LEAST or x.dtype != start.dtype or function is not F.silu:
        return plain_products(rows, start, end, score, temperature, function).view(x.shape)
    return _ShiftedProducts.apply(rows, start, end, score, temperature).view(x.shape)


def plain_products(
    x: Tensor,
    start: Tensor,
    end: Tensor,
    score: Tensor,
    temperature: Tensor,
    function: Callable[[Tensor], Tensor] = F.silu,
) -> Tensor:
    """What `shifted_products` computes, in plain operations, of numbers ``(*members, rows, n)``."""
    x, start, end, score = x.unsqueeze(-2), *(t[..., None, :, None] for t in (start, end, score))
    product = function(x - start) * function(end - x)
    values = product * product
    flat = values.flatten(-2)
    # by their places, so that the derivative does not search for them again
    least, most = (flat.gather(-1, find(flat, dim=-1, keepdim=True)) for find in (torch.argmin, torch.argmax))
    span = most - least + 1e-6  # no division by zero where all functions are equal
    # what is subtracted from every function is the same for all inputs, which a softmax does not see
    scores = (values * score).sum(-2) / (span * temperature.unsqueeze(-2))
    return x.shape[-1] * scores.softmax(-1) * (values.sum(-2) - start.shape[-2] * least) / span


def _own(*parameters: Tensor) -> list[Tensor]:
    """Parameters ``(functions or 1, members, 1, 1)``."""
    return [t.reshape(-1, t.shape[-1]).T[..., None, None] for t in parameters]


def _row(x: Tensor, own: Iterable[Tensor], buffers: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Shares of attention, what they weigh, scores, spans, and the least and the largest function of every number.

    Fills `buffers` with the shifts, the activations, their products, and the squares of these.
    """
    start, end, score, temperature = own
    left, right, above, below, product, square = buffers
    torch.ops.aten.silu.out(torch.sub(x, start, out=left), out=above)
    torch.ops.aten.silu.out(torch.sub(end, x, out=right), out=below)
    torch.mul(above, below, out=product)
    torch.mul(product, product, out=square)
    both = torch.cat([torch.ones_like(score), score], -1).permute(1, 3, 0, 2).flatten(2)
    sums, scores = (both @ square.flatten(2).transpose(0, 1)).view(-1, 2, *x.shape[1:]).unbind(1)
    low, high = square.amin(0), square.amax(0)
    least = low.amin(-1, keepdim=True)
    span = (high.amax(-1, keepdim=True) - least).add_(1e-6)
    values = sums.sub_(least, alpha=len(square)).div_(span)
    scores.div_(span * temperature[0])
    return scores.softmax(-1), values, scores, span, low, high


def _forward(x: Tensor, *parameters: Tensor) -> Tensor:
    z = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, count, own = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]), parameters[0].shape[-1], _own(*parameters)
    out = z.view(rows.shape)
    for at, buffers in tiles(rows, 6 * count, _TILE):
        shares, values, *_ = _row(rows[at], (t[:, at[0]] for t in own), buffers.unflatten(0, (6, count)))
        torch.mul(shares, values, out=out[at]).mul_(x.shape[-1])
    return z


def _backward(g: Tensor, x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    rows, count, own = x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:]), parameters[0].shape[-1], _own(*parameters)
    found = [torch.zeros_like(t) for t in own]
    tops, out = g.reshape(rows.shape), by_x.view(rows.shape)
    pull = torch.ops.aten.silu_backward.grad_input
    for at, memory in tiles(rows, 7 * count, _TILE):
        left, right, above, below, product, square, slope = memory.unflatten(0, (7, count))
        _, _, score, temperature = here = [t[:, at[0]] for t in own]
        by_start, by_end, by_score, by_temperature = (t[:, at[0]] for t in found)
        shares, values, scores, span, low, high = _row(rows[at], here, [left, right, above, below, product, square])
        by_values = shares.mul(tops[at]).mul_(x.shape[-1])
        by_scores = values * by_values
        by_span = by_scores.sum(-1, keepdim=True)
        by_scores.addcmul_(shares, by_span, value=-1)
        cooling = (by_scores * scores).sum(-1, keepdim=True)
        by_temperature -= cooling.sum(-2, keepdim=True) / temperature
        by_span.add_(cooling).div_(-span)
        by_values.div_(span)
        by_scores.div_(span * temperature[0])
        torch.addcmul(by_values, score, by_scores, out=slope)
        by_least = by_values.sum(-1, keepdim=True).mul_(-count).sub_(by_span)
        for place, part in ((low.argmin(-1, keepdim=True), by_least), (high.argmax(-1, keepdim=True), by_span)):
            index = place.expand(count, *place.shape)
            there = square.gather(-1, index)
            same = there == (there.amin(0) if part is by_least else there.amax(0))
            first = same & (same.cumsum(0) == 1)  # of functions that are equal, one counts
            slope.scatter_add_(-1, index, first * part)
        slope.mul_(product)
        flat = square.flatten(2).transpose(0, 1) @ by_scores.view(len(by_scores), -1, 1)
        by_score += flat.transpose(0, 1).unsqueeze(-1)
        by_start -= pull(below.mul_(slope), left, grad_input=left).sum((2, 3), keepdim=True).mul_(2)
        by_end += pull(above.mul_(slope), right, grad_input=right).sum((2, 3), keepdim=True).mul_(2)
        torch.sum(left.sub_(right), 0, out=out[at]).mul_(2)
    return by_x, *(by[..., 0, 0].T.reshape(t.shape) for by, t in zip(found, parameters, strict=True))


_LIBRARY.impl("shifted_products", _forward, "CPU")
_LIBRARY.impl("shifted_products_backward", _backward, "CPU")


@torch.library.register_fake("lamina::shifted_products", lib=_LIBRARY)
def _(x: Tensor, *parameters: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.register_fake("lamina::shifted_products_backward", lib=_LIBRARY)
def _(g: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.new_empty(t.shape) for t in inputs)


class _ShiftedProducts(torch.autograd.Function):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(*inputs: Tensor) -> Tensor:
        return torch.ops.lamina.shifted_products(*inputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled():  # a derivative of the derivative is wanted
            return torch.func.vjp(plain_products, *ctx.saved_tensors)[1](g)
        return torch.ops.lamina.shifted_products_backward(g, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        members = members_first(info.batch_size, dims, inputs)
        return _ShiftedProducts.apply(*members), 0  # pyright: ignore[reportReturnType]
