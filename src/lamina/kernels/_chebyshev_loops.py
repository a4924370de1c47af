"""Chebyshev polynomials of many numbers in one pass, by their recursions."""

from __future__ import annotations

import numpy as np

from lamina.kernels._compiled import compiled


@compiled
def forward(t, out):
    """``(rows, features)``, ``(rows, functions, features)``; the last is filled."""
    rows, count, features = out.shape
    real = t.dtype.type
    for r in range(rows):
        out[r, 0] = real(1)
        if count > 1:
            out[r, 1] = t[r]
        for k in range(2, count):
            for i in range(features):
                out[r, k, i] = (t[r, i] + t[r, i]) * out[r, k - 1, i] - out[r, k - 2, i]


@compiled
def backward(g, t, by_t):
    """The derivative, into the last: that of the polynomial number `k` is `k` times one of the second kind."""
    rows, count, features = g.shape
    real = t.dtype.type
    before, here, total = np.empty(features, t.dtype), np.empty(features, t.dtype), np.empty(features, t.dtype)
    for r in range(rows):
        before[:], here[:], total[:] = real(0), real(1), real(0)
        for k in range(1, count):
            for i in range(features):
                total[i] += real(k) * here[i] * g[r, k, i]
                here[i], before[i] = (t[r, i] + t[r, i]) * here[i] - before[i], here[i]
        by_t[r] = total
