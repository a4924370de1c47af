"""One function moved to equal centres, at many places in one pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numba.extending import register_jitable

from lamina.kernels._compiled import compiled, exp
from lamina.kernels.bspline import terms


@register_jitable
def _radial(v, half, real):
    return exp(-v * v)


@register_jitable
def _radial_slope(v, half, real):
    return real(-2) * v * exp(-v * v)


@register_jitable
def _wavelet(v, half, real):
    return (real(1) - v * v) * exp(real(-0.5) * v * v)


@register_jitable
def _wavelet_slope(v, half, real):
    return (v * v - real(3)) * v * exp(real(-0.5) * v * v)


@register_jitable
def _relu(v, half, real):
    left = real(1) - v * v / (half * half)
    return real(0) if left <= real(0) else left * left


@register_jitable
def _relu_slope(v, half, real):
    left = real(1) - v * v / (half * half)
    return real(-4) * left * v / (half * half) if left > real(0) else real(0)


_KINDS = {
    "radial": (_radial, _radial_slope),
    "wavelet": (_wavelet, _wavelet_slope),
    "relu": (_relu, _relu_slope),
}


def _spline(degree: int) -> tuple[Callable[..., float], Callable[..., float]]:
    """The central B-spline, and its slope; of degree 1, which has kinks, that right of them."""
    knots, weights = zip(*terms(degree), strict=True)
    count, lower, kinks = len(knots), degree - 1, degree == 1

    @register_jitable
    def value(v, half, real):
        total = real(0)
        for j in range(count):
            left = real(knots[j]) - abs(v)
            total += real(weights[j]) * (real(0) if left <= real(0) else left) ** degree
        return total

    @register_jitable
    def slope(v, half, real):
        total = real(0)
        for j in range(count):
            left = real(knots[j]) - abs(v)
            inside = left > real(0) or (kinks and left == real(0) and v < real(0))
            total += real(degree * weights[j]) * left**lower if inside else real(0)
        return total if v < real(0) else -total

    return value, slope


def of(kind: str, degree: int) -> tuple[Callable[..., None], Callable[..., None]]:
    """All functions of a kind, and the derivative; of splines of one degree, so that the loops over terms unroll."""
    return _of(kind, degree if kind == "spline" else 0)


@cache
def _of(kind: str, terms_of: int) -> tuple[Callable[..., None], Callable[..., None]]:
    value, slope = _spline(terms_of) if kind == "spline" else _KINDS[kind]
    smooth = (kind, terms_of) != ("spline", 1)  # right of the grid's end there would be another slope

    @compiled
    def forward(x, low, scale, grid, degree, silu, out):
        """``(rows, features)``, ``(members, features)`` twice, ``(rows, functions, features)``: members in turn.

        With `silu` that of the number itself stands before the functions of its place.
        """
        rows, features = x.shape
        real = x.dtype.type
        half, middle = real((degree + 1) / 2), (degree - 1) / 2
        place = np.empty(features, x.dtype)
        for r in range(rows):
            m = r * len(low) // rows
            for i in range(features):
                u = (x[r, i] - low[m, i]) * scale[m, i]
                place[i] = real(0) if u < real(0) else real(grid) if u > real(grid) else u
            if silu:
                for i in range(features):
                    out[r, 0, i] = x[r, i] / (real(1) + exp(-x[r, i]))
            for k in range(grid + degree):
                centre = real(k - middle)
                for i in range(features):
                    out[r, silu + k, i] = value(place[i] - centre, half, real)

    @compiled
    def backward(g, x, low, scale, grid, degree, silu, by_x):
        """The derivative, into the last."""
        rows, features = x.shape
        real = x.dtype.type
        half, middle = real((degree + 1) / 2), (degree - 1) / 2
        place, total = np.empty(features, x.dtype), np.empty(features, x.dtype)
        for r in range(rows):
            m = r * len(low) // rows
            for i in range(features):
                place[i], total[i] = (x[r, i] - low[m, i]) * scale[m, i], real(0)
            for k in range(grid + degree):
                centre = real(k - middle)
                for i in range(features):
                    total[i] += slope(place[i] - centre, half, real) * g[r, silu + k, i]
            for i in range(features):
                inside = place[i] >= real(0) and (place[i] < real(grid) or (smooth and place[i] == real(grid)))
                total[i] = total[i] * scale[m, i] if inside else real(0)
            if silu:
                for i in range(features):
                    share = real(1) / (real(1) + exp(-x[r, i]))
                    total[i] += g[r, 0, i] * share * (real(1) + x[r, i] * (real(1) - share))
            by_x[r] = total

    return forward, backward
