"""Rational functions without poles: as plain operations, and as an operator of compiled loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops, members_first

_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("rational(Tensor x, Tensor a, Tensor b) -> Tensor")
_LIBRARY.define("rational_backward(Tensor g, Tensor x, Tensor y, Tensor a, Tensor b) -> (Tensor, Tensor, Tensor)")


def rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    r"""A rational function of each group of features, with a denominator that all share and that is at least 1.

    .. math:: y_i = \frac{\sum_{k=0}^{m} a_{kg} x_i^k}{1 + \big|\sum_{k=1}^{n} b_k x_i^k\big|}, \qquad
              g = \lfloor i \cdot \mathrm{groups} / \mathrm{features} \rfloor

    On a processor, in single and double precision, it is an operator of compiled loops, which keeps nothing but its
    input and its output. Elsewhere, and under `torch.compile` and `torch.export`, it is plain operations. Both can be
    differentiated as often as one likes.

    Args:
        x: any numbers, ``(*, features)``.
        a: coefficients of the numerators, ``(m + 1, groups)``, at least two.
        b: coefficients of the denominator, ``(n,)``, at least two and at most as many as :math:`m`.

    Source:
        Molina et al. 2020, Padé Activation Units, arXiv:1907.06732.
    """
    if not has_loops(x, a, b):
        return plain_rational(x, a, b)
    if x.ndim != 2:
        return rational(x.reshape(math.prod(x.shape[:-1]), x.shape[-1]), a, b).view(x.shape)
    return _Rational.apply(x, a, b)  # pyright: ignore[reportReturnType]


def plain_rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """What `rational` computes, in plain operations."""
    above = a[:, _groups(x, a)]
    return _polynomial(x, above.unbind()) / ((_polynomial(x, b.unbind()) * x).abs() + 1)


def _groups(x: Tensor, a: Tensor) -> Tensor:
    """The group of each feature."""
    return torch.arange(x.shape[-1], device=x.device) * a.shape[-1] // x.shape[-1]


def _polynomial(x: Tensor, coefficients: Sequence[Tensor]) -> Tensor:
    """The sum of ``coefficients[k] x^k``, after Horner."""
    *others, below, last = coefficients
    total = x * last + below
    for coefficient in reversed(others):
        total = torch.addcmul(coefficient, total, x)
    return total


def _forward(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    from lamina.kernels import _rational_loops

    forward, _ = _rational_loops.of(a.shape[-2], b.shape[-1])
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    forward(*arrays(2, x, a), *arrays(1, b), *arrays(2, y))
    return y


def _backward(g: Tensor, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    from lamina.kernels import _rational_loops

    _, backward = _rational_loops.of(a.shape[-2], b.shape[-1])
    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    by_a, by_b = a.new_zeros(a.shape), b.new_zeros(b.shape)
    backward(*arrays(2, g, x, y, a), *arrays(1, b), *arrays(2, by_x, by_a), *arrays(1, by_b))
    return by_x, by_a, by_b


_LIBRARY.impl("rational", _forward, "CPU")
_LIBRARY.impl("rational_backward", _backward, "CPU")


@torch.library.register_fake("lamina::rational", lib=_LIBRARY)
def _(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.register_fake("lamina::rational_backward", lib=_LIBRARY)
def _(g: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    x, _, a, b = inputs
    return x.new_empty(x.shape), a.new_empty(a.shape), b.new_empty(b.shape)


class _Rational(Operator):
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
