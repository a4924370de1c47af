"""Cosines and sines of many angles in one pass."""

from __future__ import annotations

from lamina.kernels._compiled import compiled, exp, sincos, sincos_reaches


@compiled
def forward(z, growth, phase, out):
    """``(rows, features)``, two numbers, ``(rows, 2 * features)``; the last is filled, unless an angle is too far."""
    rows, features = z.shape
    real = z.dtype.type
    rate, shift = real(growth), real(phase)
    for r in range(rows):
        cosines, sines = out[r, :features], out[r, features:]
        for i in range(features):
            sines[i] = z[r, i] + shift
        if not sincos_reaches(sines):
            return False
        for i in range(features):
            sines[i], cosines[i] = sincos(sines[i])
        if growth != 0:
            for i in range(features):
                size = exp(rate * z[r, i])
                cosines[i] *= size
                sines[i] *= size
    return True


@compiled
def backward(g, values, growth, by_z):
    """The derivative, made of the values, into the last."""
    rows, features = by_z.shape
    rate = by_z.dtype.type(growth)
    for r in range(rows):
        for i in range(features):
            cosine, sine, by_cosine, by_sine = values[r, i], values[r, features + i], g[r, i], g[r, features + i]
            by_z[r, i] = cosine * (rate * by_cosine + by_sine) + sine * (rate * by_sine - by_cosine)
