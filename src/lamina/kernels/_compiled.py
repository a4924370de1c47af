"""Loops over numbers, compiled when they are called for the first time: one pass where plain operations take many.

Constants have the type of the numbers, ``x.dtype.type``: with Python's, all would be computed in double precision.
Inner loops run over features, where a processor takes several numbers at once. Machine code that is kept is compiled
anew when the file of its loop has changed, not when this one has: who changes it removes ``__pycache__``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from numba import types
from numba.extending import overload, register_jitable

# of fast mathematics all but the flags by which "not a number" and infinity could be lost
_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compiler = partial(numba.njit, nogil=True, error_model="numpy", fastmath=_FAST)

# loops with many arrays take one number at a time unless LLVM may test beforehand that none of these overlap
llvmlite.binding.set_option("", "-vectorize-memory-check-threshold=100000")

_LOG2 = Fraction("0.693147180559945309417232121458176568")
_QUARTER = Fraction("1.57079632679489661923132169163975144209858469968755")  # of a circle


def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop as machine code, which is kept on disk for other processes where there is a folder to write to."""
    try:
        return _compiler(cache=True)(loop)
    except RuntimeError:
        return _compiler()(loop)


def exp(v):
    """The exponential function in compiled loops, of several numbers at once.

    In single precision it is zero below -87 and infinite above 88, in double below -708 and above 709.
    """
    return np.exp(v)


def _exponential(real: Any, integer: Any, mantissa: int, bias: int, near: tuple[int, int], order: int) -> Any:
    """By a power of two and a Taylor polynomial within half a power; `near` is where the power has bits of its own."""
    inverse, high, zero, infinite = real(1 / math.log(2)), real(math.log(2)), real(0), real(np.inf)
    low = real(float(_LOG2 - Fraction(float(high))))  # what the logarithm has beyond the digits of `high`
    lowest, highest = (real(end) for end in near)
    taylor = tuple(real(1 / math.factorial(k)) for k in range(order, -1, -1))

    def function(v):
        inside = lowest if v < lowest else highest if v > highest else v
        twos = np.rint(inside * inverse)
        rest = inside - twos * high - twos * low
        power = taylor[0]
        for k in range(1, order + 1):
            power = power * rest + taylor[k]
        power *= integer((integer(twos) + integer(bias)) << mantissa).view(real)
        return zero if v < lowest else infinite if v > highest else power

    return function


_EXPONENTIALS = {
    types.float32: _exponential(np.float32, np.int32, 23, 127, (-87, 88), 7),
    types.float64: _exponential(np.float64, np.int64, 52, 1023, (-708, 709), 13),
}


@overload(exp, jit_options={"fastmath": {"contract"}, "error_model": "numpy"})
def _(v):
    return _EXPONENTIALS[v]


def sincos(v):
    """Sine and cosine in compiled loops, of several numbers at once, where `sincos_reaches` all of them."""
    return np.sin(v), np.cos(v)


@register_jitable
def sincos_reaches(values):
    """Whether all numbers of an array are such that `sincos` is exact to rounding: up to 8,192, in double 1,048,576."""
    end = 2**13 if values.itemsize == 4 else 2**20
    far = 0
    for i in range(len(values)):
        far += not abs(values[i]) <= end  # what is not a number is far too
    return far == 0


def _circle(real: Any, integer: Any, bits: int, order: int) -> Any:
    """By quarters of a circle and Taylor polynomials; a quarter is two parts of some bits, exact in products, and more.

    The sine has powers up to `order`, the cosine one less.
    """
    inverse, step = real(2 / math.pi), 2 ** (bits - 1)
    first = Fraction(math.floor(_QUARTER * step), step)
    second = Fraction(math.floor((_QUARTER - first) * step * 2**bits), step * 2**bits)
    one, two, three = real(first), real(second), real(float(_QUARTER - first - second))
    sines = tuple(real((-1) ** (k // 2) / math.factorial(k)) for k in range(order, 2, -2))
    cosines = tuple(real((-1) ** (k // 2) / math.factorial(k)) for k in range(order - 1, 3, -2))

    def function(v):
        quarters = np.rint(v * inverse)
        rest = v - quarters * one - quarters * two - quarters * three
        square = rest * rest
        sine, cosine = sines[0], cosines[0]
        for k in range(1, len(sines)):
            sine = sine * square + sines[k]
        for k in range(1, len(cosines)):
            cosine = cosine * square + cosines[k]
        sine, cosine = rest + rest * square * sine, real(1) - (square * real(0.5) - square * square * cosine)
        quarter = integer(quarters)
        swap = quarter & 1 == 1
        sine, cosine = (cosine, sine) if swap else (sine, cosine)
        return -sine if quarter & 2 else sine, -cosine if (quarter + 1) & 2 else cosine

    return function


_CIRCLES = {
    types.float32: _circle(np.float32, np.int32, 11, 11),
    types.float64: _circle(np.float64, np.int64, 33, 17),
}


@overload(sincos, jit_options={"fastmath": {"contract"}, "error_model": "numpy"})
def _(v):
    return _CIRCLES[v]


@register_jitable(fastmath=_FAST | {"nnan"})
def least(values):
    """The least number of an array in compiled loops; where one is not a number, any."""
    found = values[0]
    for i in range(1, len(values)):
        found = values[i] if values[i] < found else found
    return found


@register_jitable(fastmath=_FAST | {"nnan"})
def most(values):
    """The largest number of an array in compiled loops; where one is not a number, any."""
    found = values[0]
    for i in range(1, len(values)):
        found = values[i] if values[i] > found else found
    return found
