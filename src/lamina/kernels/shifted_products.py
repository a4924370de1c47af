"""Attention over products of shifted SiLUs: as plain operations, and as an operator of compiled loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops, members_first

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

    The smallest of all :math:`A_k(x_i)` of a row is brought to 0 and the largest to 1. With SiLU, on a processor and in
    single and double precision, it is an operator of compiled loops, which keeps nothing but its inputs. Otherwise, and
    under `torch.compile` and `torch.export`, it is plain operations. Both can be differentiated as often as one likes.

    Args:
        x: any numbers, ``(*, n)``.
        start, end, score: :math:`s`, :math:`e` and :math:`v`, ``(functions,)``.
        temperature: ``(1,)``; :math:`\tau` is at least 1.
        function: :math:`\sigma`.

    Source:
        Ta and Tran 2025, AF-KAN: Activation Function-Based Kolmogorov-Arnold Networks for Efficient Representation
        Learning, arXiv:2503.06112.
    """
    if x.ndim != 2:
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        return shifted_products(rows, start, end, score, temperature, function=function).view(x.shape)
    if function is not F.silu or not has_loops(x, start, end, score, temperature):
        return plain_products(x, start, end, score, temperature, function)
    return _ShiftedProducts.apply(x, start, end, score, temperature)  # pyright: ignore[reportReturnType]


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
    temperature = temperature.clamp_min(1)
    # what is subtracted from every function is the same for all inputs, which a softmax does not see
    scores = (values * score).sum(-2) / (span * temperature.unsqueeze(-2))
    return x.shape[-1] * scores.softmax(-1) * (values.sum(-2) - start.shape[-2] * least) / span


def _forward(x: Tensor, *parameters: Tensor) -> Tensor:
    from lamina.kernels import _shifted_products_loops as loops

    z = torch.empty_like(x, memory_format=torch.contiguous_format)
    loops.forward(x.shape[-1], *arrays(0, x), *arrays(1, *parameters), *arrays(0, z))
    return z


def _backward(g: Tensor, x: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
    from lamina.kernels import _shifted_products_loops as loops

    by_x = torch.empty_like(x, memory_format=torch.contiguous_format)
    found = [t.new_zeros(t.shape) for t in parameters]
    sums = *arrays(0, by_x), *arrays(1, *found)
    loops.backward(x.shape[-1], *arrays(0, g, x), *arrays(1, *parameters), *sums)
    return by_x, *found


_LIBRARY.impl("shifted_products", _forward, "CPU")
_LIBRARY.impl("shifted_products_backward", _backward, "CPU")


@torch.library.register_fake("lamina::shifted_products", lib=_LIBRARY)
def _(x: Tensor, *parameters: Tensor) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.register_fake("lamina::shifted_products_backward", lib=_LIBRARY)
def _(g: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.new_empty(t.shape) for t in inputs)


class _ShiftedProducts(Operator):
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
