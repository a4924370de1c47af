"""Rational functions without poles: as plain operations, and as an operator that stays in the cache."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lamina.kernels import members_first, plain_wanted
from lamina.kernels.scratch import tiles

# Numbers of a tile: of 8,192 to 65,536, the most was the fastest, as it has the fewest calls.
_TILE = 65_536
_LEAST = 2**14  # numbers: with fewer, the calls of an operator take longer than plain operations
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("rational(Tensor x, Tensor a, Tensor b) -> Tensor")
_LIBRARY.define("rational_backward(Tensor g, Tensor x, Tensor y, Tensor a, Tensor b) -> (Tensor, Tensor, Tensor)")


def rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    r"""A rational function of each group of features, with a denominator that all share and that is at least 1.

    .. math:: y_i = \frac{\sum_{k=0}^{m} a_{kg} x_i^k}{1 + \big|\sum_{k=1}^{n} b_k x_i^k\big|}, \qquad
              g = \lfloor i \cdot \mathrm{groups} / \mathrm{features} \rfloor

    Of many numbers on a processor it is an operator that computes a tile of rows at a time, within the cache, and keeps
    nothing but its input and its output. Otherwise, and under `torch.compile` and `torch.export`, it is plain
    operations. Both can be differentiated as often as one likes.

    Args:
        x: any numbers, ``(*, features)``.
        a: coefficients of the numerators, ``(m + 1, groups)``, at least two.
        b: coefficients of the denominator, ``(n,)``, at least two and at most as many as :math:`m`.

    Source:
        Molina et al. 2020, Padé Activation Units, arXiv:1907.06732.
    """
    if plain_wanted() or not x.is_cpu or x.numel() < _LEAST or x.dtype != a.dtype:
        return plain_rational(x, a, b)
    return _Rational.apply(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), a, b).view(x.shape)


def plain_rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """What `rational` computes, in plain operations."""
    above = a[:, _groups(x, a)]
    return _polynomial(x, above.unbind()) / ((_polynomial(x, b.unbind()) * x).abs() + 1)


def _groups(x: Tensor, a: Tensor) -> Tensor:
    """The group of each feature."""
    return torch.arange(x.shape[-1], device=x.device) * a.shape[-1] // x.shape[-1]


def _polynomial(x: Tensor, coefficients: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    """The sum of ``coefficients[k] x^k``, after Horner."""
    *others, below, last = coefficients
    # one operation on two coefficients that numbers share is slower than two
    total = x * last + below if out is None else torch.mul(x, last, out=out).add_(below)
    for coefficient in reversed(others):
        total = torch.addcmul(coefficient, total, x, out=out)
    return total


def _stacks(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers ``(members, rows, features)``, and coefficients ``(*, members, 1, features or 1)``."""
    members = math.prod(x.shape[:-2])
    above = a.reshape(members, *a.shape[-2:]).index_select(-1, _groups(x, a))
    below = b.reshape(members, b.shape[-1])
    return x.reshape(members, *x.shape[-2:]), above.transpose(0, 1).unsqueeze(2), below.T[..., None, None]


def _slopes(coefficients: Tensor) -> Tensor:
    """The coefficients of the derivative of a polynomial whose constant is left out."""
    return coefficients * torch.arange(1.0, 1 + len(coefficients), dtype=coefficients.dtype).view(-1, 1, 1, 1)


def _forward(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    numbers, above, below = _stacks(x, a, b)
    out = y.view(numbers.shape)
    for at, (under,) in tiles(numbers, 1, _TILE):
        part = numbers[at]
        _polynomial(part, below[:, at[0]].unbind(), under).mul_(part).abs_().add_(1)
        _polynomial(part, above[:, at[0]].unbind(), out[at]).div_(under)
    return y


def _backward(g: Tensor, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    numbers, above, below = _stacks(x, a, b)
    upper, lower = _slopes(above[1:]), _slopes(below)
    by_a, by_b = torch.zeros_like(above), torch.zeros_like(below)
    tops, values, out = (t.reshape(numbers.shape) for t in (g, y, by_x))
    order, terms = len(above), len(below)
    for at, buffers in tiles(numbers, order + 2, _TILE):
        part, slope, powers = numbers[at], out[at], buffers[:order]  # those of the numbers, times `over`
        over, *others, under, signed = buffers.unbind()
        inner = _polynomial(part, below[:, at[0]].unbind(), signed).mul_(part)
        torch.div(tops[at], torch.abs(inner, out=over).add_(1), out=over)
        inner.sgn_().mul_(values[at])
        _polynomial(part, lower[:, at[0]].unbind(), under).mul_(signed)
        _polynomial(part, upper[:, at[0]].unbind(), slope).sub_(under).mul_(over)
        for power in others:
            over = torch.mul(over, part, out=power)
        by_a[:, at[0]] += powers.sum(2, keepdim=True)
        sums = powers[1 : terms + 1].flatten(2).transpose(0, 1) @ signed.view(len(signed), -1, 1)
        by_b[:, at[0]] -= sums.transpose(0, 1).unsqueeze(-1)
    found = a.new_zeros(len(numbers), *a.shape[-2:])
    found.index_add_(-1, _groups(x, a), by_a.squeeze(2).transpose(0, 1))
    return by_x, found.view(a.shape), by_b[..., 0, 0].T.reshape(b.shape)


_LIBRARY.impl("rational", _forward, "CPU")
_LIBRARY.impl("rational_backward", _backward, "CPU")


@torch.library.register_fake("lamina::rational", lib=_LIBRARY)
def _(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.register_fake("lamina::rational_backward", lib=_LIBRARY)
def _(g: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    x, _, a, b = inputs
    return x.new_empty(x.shape), a.new_empty(a.shape), b.new_empty(b.shape)


class _Rational(torch.autograd.Function):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.ops.lamina.rational(x, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x, a, b = inputs
        ctx.save_for_backward(x, output, a, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, ...]:
        again = torch.is_grad_enabled()  # a derivative of the derivative is wanted
        compute = _plain_backward if again else torch.ops.lamina.rational_backward
        return compute(g, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        members = members_first(info.batch_size, dims, inputs)
        return _Rational.apply(*members), 0  # pyright: ignore[reportReturnType]


def _plain_backward(g: Tensor, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What `_backward` computes, in operations that can be differentiated."""
    group = _groups(x, a)
    above, below = a[..., group].unsqueeze(-2).movedim(-3, 0), b[..., None, None].movedim(-3, 0)
    inner = _polynomial(x, below.unbind()) * x
    over = g / (inner.abs() + 1)
    under = over * y * inner.sgn()
    upper = [k * c for k, c in enumerate(above.unbind())][1:]
    lower = [k * c for k, c in enumerate(below.unbind(), 1)]
    by_x = over * _polynomial(x, upper) - under * _polynomial(x, lower)
    by_a = torch.stack([(over * x**k).sum(-2) for k in range(len(above))], -2)
    by_b = torch.stack([-(under * x**k).sum((-2, -1)) for k in range(1, len(below) + 1)], -1)
    return by_x, torch.zeros_like(a).index_add(-1, group, by_a), by_b
