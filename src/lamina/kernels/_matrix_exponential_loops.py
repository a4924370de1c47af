"""Exponentials of many small matrices: inner loops run over matrices, as those over their few entries are short."""

from __future__ import annotations

import math

import numpy as np
from numba.extending import register_jitable

from lamina.kernels._compiled import compiled

_BLOCK = 128  # matrices that are computed together: so many stay in the cache with their powers


@register_jitable
def _add_product(a, b, out):
    """Adds products of matrices ``(n, n, matrices)``."""
    for i in range(len(a)):
        for k in range(len(a)):
            for j in range(len(a)):
                for w in range(a.shape[2]):
                    out[i, j, w] += a[i, k, w] * b[k, j, w]


@register_jitable
def _multiply(a, b, out):
    """Products of matrices ``(kinds, n, n, matrices)``; the second kind is a derivative of the first."""
    out[:] = 0
    _add_product(a[0], b[0], out[0])
    if len(a) == 2:
        _add_product(a[0], b[1], out[1])
        _add_product(a[1], b[0], out[1])


@compiled
def exponentials(a, direction, coefficients, limit, found):
    """Of matrices ``(matrices, n, n)``, or their derivatives in as many directions, into the last argument.

    The coefficients are those of the powers 0 to `order` for each power of the highest of these, the last power first;
    a matrix is halved until its norm is at most the limit.
    """
    count, n, _ = a.shape
    kinds = 1 if len(direction) < count else 2
    order = coefficients.shape[1] - 1
    powers = np.empty((order, kinds, n, n, _BLOCK), a.dtype)
    result, product = np.empty(powers.shape[1:], a.dtype), np.empty(powers.shape[1:], a.dtype)
    halvings = np.zeros(_BLOCK, np.int32)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        powers[0], halvings[:] = 0, 0
        for w in range(size):
            norm = 0.0
            for j in range(n):
                total = 0.0
                for i in range(n):
                    total += abs(a[start + w, i, j])
                norm = max(norm, total)
            halvings[w] = max(0, math.frexp(norm / limit)[1]) if np.isfinite(norm) else 0
            share = math.ldexp(1.0, -int(halvings[w]))
            for i in range(n):
                for j in range(n):
                    powers[0, 0, i, j, w] = a[start + w, i, j] * share
                    if kinds == 2:
                        powers[0, 1, i, j, w] = direction[start + w, i, j] * share
        for k in range(1, order):
            _multiply(powers[k // 2], powers[(k - 1) // 2], powers[k])
        result[:] = 0
        for row in range(len(coefficients)):
            if row:
                _multiply(result, powers[order - 1], product)
                result[:] = product
            for k in range(order):
                for kind in range(kinds):
                    for i in range(n):
                        for j in range(n):
                            for w in range(_BLOCK):
                                result[kind, i, j, w] += coefficients[row, k + 1] * powers[k, kind, i, j, w]
            for i in range(n):
                result[0, i, i] += coefficients[row, 0]
        for step in range(halvings.max()):
            _multiply(result, result, product)
            for kind in range(kinds):
                for i in range(n):
                    for j in range(n):
                        for w in range(_BLOCK):
                            old, new = result[kind, i, j, w], product[kind, i, j, w]
                            result[kind, i, j, w] = new if halvings[w] > step else old
        for w in range(size):
            for i in range(n):
                for j in range(n):
                    found[start + w, i, j] = result[kinds - 1, i, j, w]
