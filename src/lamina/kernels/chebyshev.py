"""Chebyshev polynomials: as plain operations, and as an operator of compiled loops."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops

_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("chebyshev(Tensor t, int count) -> Tensor")
_LIBRARY.define("chebyshev_backward(Tensor g, Tensor t) -> Tensor")


def chebyshev(t: Tensor, count: int) -> Tensor:
    r"""The first Chebyshev polynomials of every number.

    .. math:: T_0 = 1, \quad T_1 = t, \quad T_{k+1} = 2 t\, T_k - T_{k-1}

    On a processor, in single and double precision, it is an operator of compiled loops. Elsewhere, and under
    `torch.compile` and `torch.export`, it is plain operations. Both can be differentiated as often as one likes.

    Args:
        t: numbers, ``(*, features)``; between -1 and 1 the polynomials are.
        count: how many polynomials.

    Returns:
        ``(*, count, features)``.
    """
    if count < 1 or not has_loops(t):
        return plain_chebyshev(t, count)
    return _Chebyshev.apply(t, count)  # pyright: ignore[reportReturnType]


def plain_chebyshev(t: Tensor, count: int) -> Tensor:
    """What `chebyshev` computes, in plain operations."""
    found = [torch.ones_like(t), t]
    while len(found) < count:
        found.append(2 * t * found[-1] - found[-2])
    return torch.stack(found[:count], dim=-2)


def _forward(t: Tensor, count: int) -> Tensor:
    from lamina.kernels import _chebyshev_loops as loops

    found = t.new_empty(*t.shape[:-1], count, t.shape[-1])
    loops.forward(*arrays(1, t), *arrays(2, found))
    return found


def _backward(g: Tensor, t: Tensor) -> Tensor:
    from lamina.kernels import _chebyshev_loops as loops

    by_t = torch.empty_like(t, memory_format=torch.contiguous_format)
    loops.backward(*arrays(2, g), *arrays(1, t, by_t))
    return by_t


_LIBRARY.impl("chebyshev", _forward, "CPU")
_LIBRARY.impl("chebyshev_backward", _backward, "CPU")


@torch.library.register_fake("lamina::chebyshev", lib=_LIBRARY)
def _(t: Tensor, count: int) -> Tensor:
    return t.new_empty(*t.shape[:-1], count, t.shape[-1])


@torch.library.register_fake("lamina::chebyshev_backward", lib=_LIBRARY)
def _(g: Tensor, t: Tensor) -> Tensor:
    return t.new_empty(t.shape)


class _Chebyshev(Operator):
    """The operator with its derivative, and with a stack of members as one more dimension."""

    @staticmethod
    def forward(t: Tensor, count: int) -> Tensor:
        return torch.ops.lamina.chebyshev(t, count)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        t, ctx.count = inputs
        ctx.save_for_backward(t)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (t,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of the derivative is wanted
            (found,) = torch.func.vjp(lambda t: plain_chebyshev(t, ctx.count), t)[1](g)
        else:
            found = torch.ops.lamina.chebyshev_backward(g, t)
        return found, None

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None, ...], t: Tensor, count: int) -> tuple[Tensor, int]:
        assert dims[0] is not None
        return _Chebyshev.apply(t.movedim(dims[0], 0), count), 0  # pyright: ignore[reportReturnType]
