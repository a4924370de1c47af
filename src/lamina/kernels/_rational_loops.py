"""Rational functions of many numbers in one pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from lamina.kernels._compiled import compiled

_ROWS = 256  # whose sums are added up before they join those of other rows, which loses less in single precision


@cache
def of(above: int, below: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """The functions, and the derivatives; for so many coefficients, so that the loops over them can be unrolled."""

    @compiled
    def forward(x, a, b, y):
        """``(members, rows, features)``, ``(members, above, groups)``, ``(members, below)``; the last is filled."""
        members, rows, features = x.shape
        real = x.dtype.type
        own = np.empty((above, features), x.dtype)
        for m in range(members):
            for k in range(above):
                for i in range(features):
                    own[k, i] = a[m, k, i * a.shape[2] // features]
            for r in range(rows):
                for i in range(features):
                    v, top, under = x[m, r, i], own[above - 1, i], b[m, below - 1]
                    for k in range(above - 1):
                        top = top * v + own[above - 2 - k, i]
                    for k in range(below - 1):
                        under = under * v + b[m, below - 2 - k]
                    y[m, r, i] = top / (real(1) + abs(under * v))

    @compiled
    def backward(g, x, y, a, b, by_x, by_a, by_b):
        """The derivatives; to those by coefficients it adds."""
        members, rows, features = x.shape
        real = x.dtype.type
        own, sums = np.empty((above, features), x.dtype), np.empty((above + below, features), x.dtype)
        for m in range(members):
            for k in range(above):
                for i in range(features):
                    own[k, i] = real(k) * a[m, k, i * a.shape[2] // features]
            for start in range(0, rows, _ROWS):
                sums[:] = real(0)
                for r in range(start, min(rows, start + _ROWS)):
                    for i in range(features):
                        v, top = x[m, r, i], real(0)
                        under, slope = b[m, below - 1], real(below) * b[m, below - 1]
                        for k in range(above - 1):
                            top = top * v + own[above - 1 - k, i]
                        for k in range(below - 1):
                            under = under * v + b[m, below - 2 - k]
                            slope = slope * v + real(below - 1 - k) * b[m, below - 2 - k]
                        under *= v
                        over = g[m, r, i] / (real(1) + abs(under))
                        sign = real(1) if under > real(0) else real(-1) if under < real(0) else real(0)
                        down = over * y[m, r, i] * sign
                        by_x[m, r, i] = over * top - down * slope
                        for k in range(above):
                            sums[k, i] += over
                            over *= v
                        for k in range(below):
                            down *= v
                            sums[above + k, i] -= down
                for i in range(features):
                    for k in range(above):
                        by_a[m, k, i * a.shape[2] // features] += sums[k, i]
                    for k in range(below):
                        by_b[m, k] += sums[above + k, i]

    return forward, backward
