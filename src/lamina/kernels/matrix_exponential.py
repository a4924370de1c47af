"""The exponential of many small matrices: on a processor computed with the entries of many matrices side by side."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor

from lamina.kernels import plain_wanted
from lamina.kernels.scratch import scratch

# Numbers of a tile for each thread: two megabytes in single precision. In smaller ones calls weigh more.
_TILE = 524_288
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
    processor are an operator: six products of matrices and one for each :math:`s`, each a handful of operations on all
    matrices of a tile. The derivative is computed with a matrix, at three products for one. Others, and all under
    `torch.compile` and `torch.export`, are `torch.linalg.matrix_exp`. It can be differentiated as often as one likes.

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
    if plain_wanted() or not a.is_cpu or a.dtype not in _EXACT or a.shape[-1] > _LARGEST:
        return torch.linalg.matrix_exp(a)
    return _MatrixExp.apply(a)  # pyright: ignore[reportReturnType]


@cache
def _coefficients(dtype: torch.dtype) -> Tensor:
    """Of the powers 0 to 4: a row for each power of the fourth power, the highest first, which alone has the last."""
    rows = [[1 / math.factorial(_ORDER * i + j) for j in range(_ORDER)] + [0.0] for i in reversed(range(_ORDER))]
    rows[0][-1] = 1 / math.factorial(_ORDER**2)
    return torch.tensor(rows, dtype=dtype)


def _exp(a: Tensor, direction: Tensor | None = None) -> Tensor:
    """The exponentials of matrices ``(matrices, n, n)``, or their derivatives in a direction."""
    found, n = a.new_empty(a.shape), a.shape[-1]
    kinds = 1 if direction is None else 2
    numbers = (2 * _ORDER + 1) * kinds * n**2, (2 * kinds - 1) * n**3
    size = max(1, min(len(a), _TILE * torch.get_num_threads() // sum(numbers)))
    memory = scratch(a, sum(numbers) * size)
    for start in range(0, len(a), size):
        part = slice(start, min(len(a), start + size))
        inputs = [t[part].permute(1, 2, 0) for t in (a, direction) if t is not None]
        count = part.stop - part.start
        matrices, terms = memory[: sum(numbers) * count].split([count * m for m in numbers])
        matrices, terms = matrices.view(-1, kinds, n, n, count), terms.view(-1, n, n, n, count)
        found[part] = _exp_tile(inputs, matrices, terms).permute(2, 0, 1)
    return found


def _exp_tile(inputs: list[Tensor], matrices: Tensor, terms: Tensor) -> Tensor:
    """The exponentials of matrices ``(n, n, count)``, or their derivatives in a direction, which comes second.

    Args:
        inputs: the matrices, and the direction.
        matrices: memory for the powers 1 to 4, four coefficients of powers of the fourth and one more, with each its
            derivative behind it, ``(9, kinds, n, n, count)``.
        terms: memory for what a product adds up, in one matrix or in three.
    """
    kinds = len(inputs)
    outs, rights = matrices.flatten(0, 1).unbind(), matrices.unsqueeze(3).unbind()
    lefts = matrices.transpose(2, 3).unsqueeze(4).flatten(0, 1).unbind()
    firsts, first, last, slopes = terms[:kinds], terms[0], terms[-1], terms[1:].flatten(0, 1)

    def multiply(i: int, j: int, k: int) -> None:
        """The product of two matrices into a third, by their numbers."""
        torch.mul(lefts[kinds * i], rights[j], out=firsts)
        torch.sum(first, 0, out=outs[kinds * k])
        if kinds == 2:
            torch.mul(lefts[2 * i + 1], rights[j][0], out=last)
            torch.sum(slopes, 0, out=outs[2 * k + 1])

    for out, t in zip(outs, inputs, strict=False):
        out.copy_(t)
    norm, coefficients = outs[0].abs().sum(0).amax(0), _coefficients(matrices.dtype)
    halvings = torch.frexp(norm.mul_(1 / _EXACT[norm.dtype])).exponent.clamp_(min=0)
    matrices[0] *= torch.ldexp(norm.fill_(1), -halvings)
    for i, j in ((0, 0), (0, 1), (1, 1)):
        multiply(i, j, i + j + 1)
    powers, blocks = matrices[:_ORDER].view(_ORDER, -1), matrices[_ORDER : 2 * _ORDER]
    torch.mm(coefficients[:, 1:], powers, out=blocks.view(_ORDER, -1))
    blocks[:, 0].diagonal(dim1=1, dim2=2).add_(coefficients[:, :1, None])
    fourth, result, spare = _ORDER - 1, _ORDER, 2 * _ORDER
    while result < spare - 1:
        multiply(result, fourth, spare)
        result += 1
        matrices[result] += matrices[spare]
    for i in range(int(halvings.max())):
        multiply(result, result, spare)
        torch.where(halvings > i, matrices[spare], matrices[result], out=matrices[result])
    return outs[kinds * result + kinds - 1]


def _forward(a: Tensor) -> Tensor:
    return _exp(a.reshape(math.prod(a.shape[:-2]), *a.shape[-2:])).view(a.shape)


def _backward(g: Tensor, a: Tensor) -> Tensor:
    """The derivative at the transposed matrix in the direction of `g`."""
    rows = math.prod(a.shape[:-2])
    return _exp(a.mT.reshape(rows, *a.shape[-2:]), g.reshape(rows, *a.shape[-2:])).view(a.shape)


_LIBRARY.impl("matrix_exp", _forward, "CPU")
_LIBRARY.impl("matrix_exp_backward", _backward, "CPU")


@torch.library.register_fake("lamina::matrix_exp", lib=_LIBRARY)
def _(a: Tensor) -> Tensor:
    return torch.empty_like(a, memory_format=torch.contiguous_format)


@torch.library.register_fake("lamina::matrix_exp_backward", lib=_LIBRARY)
def _(g: Tensor, a: Tensor) -> Tensor:
    return torch.empty_like(a, memory_format=torch.contiguous_format)


class _MatrixExp(torch.autograd.Function):
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
