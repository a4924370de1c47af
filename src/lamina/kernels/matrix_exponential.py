"""The exponential of many small matrices: on a processor by compiled loops that run over matrices."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lamina.kernels import Operator, arrays, has_loops

_LARGEST = 8  # rows of a matrix: the products of larger ones are better left to the matrix products of PyTorch
_ORDER = 4  # the polynomial is one of this order in a matrix, with coefficients of this order in another
# The norm up to which the polynomial is exact: theta^16 / 17! is half the distance of 1 to the next number.
_EXACT = {torch.float32: 2.8, torch.float64: 0.8}
_LIBRARY = torch.library.Library("lamina", "FRAGMENT")
_LIBRARY.define("matrix_exp(Tensor a) -> Tensor")
_LIBRARY.define("matrix_exp_backward(Tensor g, Tensor a) -> Tensor")


def matrix_exp(a: Tensor) -> Tensor:
    r"""The exponential of square matrices.

    .. math:: e^A = p(2^{-s} A)^{2^s}, \qquad p(A) = \sum_{k=0}^{16} \frac{A^k}{k!}
              = \sum_{i=0}^{3} \Big( \sum_{j=0}^{3} \frac{A^j}{(4i + j)!} \Big) A^{4i} + \frac{A^{16}}{16!}

    A matrix has its own :math:`s`, so that it does not depend on those beside it. Small matrices of real numbers on a
    processor are an operator of compiled loops: six products of matrices and one for each :math:`s`. The derivative is
    computed with a matrix, at three products for one. Others, and all under `torch.compile` and `torch.export`, are
    `torch.linalg.matrix_exp`. It can be differentiated as often as one likes.

    Args:
        a: ``(*, n, n)``.

    Returns:
        ``(*, n, n)``.

    Source:
        Paterson and Stockmeyer 1973, On the number of nonscalar multiplications necessary to evaluate polynomials,
        doi:10.1137/0202007. Al-Mohy and Higham 2009, Computing the Frechet derivative of the matrix exponential,
        doi:10.1137/080716426.
    """
    if a.shape[-1] == 1:
        return a.exp()
    if a.shape[-2] != a.shape[-1] or a.shape[-1] > _LARGEST or not has_loops(a):
        return torch.linalg.matrix_exp(a)
    return _MatrixExp.apply(a)  # pyright: ignore[reportReturnType]


@cache
def _coefficients(dtype: torch.dtype) -> Tensor:
    """Of the powers 0 to 4: a row for each power of the fourth power, the highest first, which alone has the last."""
    rows = [[1 / math.factorial(_ORDER * i + j) for j in range(_ORDER)] + [0.0] for i in reversed(range(_ORDER))]
    rows[0][-1] = 1 / math.factorial(_ORDER**2)
    return torch.tensor(rows, dtype=dtype)


def _exp(a: Tensor, direction: Tensor) -> Tensor:
    """The exponentials of matrices, or their derivatives in the direction of others, if there are some."""
    from lamina.kernels import _matrix_exponential_loops as loops

    found = a.new_empty(a.shape)
    coefficients, limit = _coefficients(a.dtype).numpy(), _EXACT[a.dtype]
    loops.exponentials(*arrays(2, a, direction), coefficients, limit, *arrays(2, found))
    return found


def _forward(a: Tensor) -> Tensor:
    return _exp(a, a.new_empty(0, *a.shape[-2:]))


def _backward(g: Tensor, a: Tensor) -> Tensor:
    """The derivative at the transposed matrix in the direction of `g`."""
    return _exp(a.mT, g)


_LIBRARY.impl("matrix_exp", _forward, "CPU")
_LIBRARY.impl("matrix_exp_backward", _backward, "CPU")


@torch.library.register_fake("lamina::matrix_exp", lib=_LIBRARY)
def _(a: Tensor) -> Tensor:
    return torch.empty_like(a, memory_format=torch.contiguous_format)


@torch.library.register_fake("lamina::matrix_exp_backward", lib=_LIBRARY)
def _(g: Tensor, a: Tensor) -> Tensor:
    return torch.empty_like(a, memory_format=torch.contiguous_format)


class _MatrixExp(Operator):
    """The operator with its derivative; a stack of members is more matrices."""

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        return torch.ops.lamina.matrix_exp(a)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        again = torch.is_grad_enabled()  # a derivative of the derivative is wanted
        return _plain_slope(a.mT, g) if again else torch.ops.lamina.matrix_exp_backward(g, a)

    @staticmethod
    def vmap(info: Any, dims: tuple[int], a: Tensor) -> tuple[Tensor, int]:
        return _MatrixExp.apply(a.movedim(dims[0], 0)), 0  # pyright: ignore[reportReturnType]


def _plain_slope(a: Tensor, direction: Tensor) -> Tensor:
    """The derivative of the exponential in a direction: a block of the exponential of a matrix of twice the size."""
    below = torch.cat([torch.zeros_like(a), a], -1)
    whole = torch.linalg.matrix_exp(torch.cat([torch.cat([a, direction], -1), below], -2))
    return whole[..., : a.shape[-1], a.shape[-1] :]
