"""Loops over numbers, compiled when they are called for the first time: one pass where plain operations take many.

Constants have the type of the numbers, ``x.dtype.type``: with Python's, all would be computed in double precision.
Inner loops run over features, where a processor takes several numbers at once. Machine code that is kept is compiled
anew when the file of its loop has changed, not when this one has: who changes it removes ``__pycache__``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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

_INVERSE, _HIGH = np.float32(1 / math.log(2)), np.float32(math.log(2))
_LOW = np.float32(math.log(2) - float(_HIGH))
_LEAST, _MOST = np.float32(-87), np.float32(88)  # beyond them a power of two would leave its bits
_ZERO, _INFINITE = np.float32(0), np.float32(np.inf)
_TAYLOR = tuple(np.float32(1 / math.factorial(k)) for k in range(7, -1, -1))


def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop as machine code, which is kept on disk for other processes where there is a folder to write to."""
    try:
        return _compiler(cache=True)(loop)
    except RuntimeError:
        return _compiler()(loop)


def exp(v):
    """The exponential function in compiled loops; in single precision of several numbers at once.

    There it is zero below -87 and infinite above 88.
    """
    return np.exp(v)


@overload(exp, jit_options={"fastmath": {"contract"}, "error_model": "numpy"})
def _(v):
    if v != types.float32:
        return lambda v: math.exp(v)

    def single(v):
        near = _LEAST if v < _LEAST else _MOST if v > _MOST else v
        twos = np.rint(near * _INVERSE)
        rest = near - twos * _HIGH - twos * _LOW
        power = _TAYLOR[0]
        for k in range(1, len(_TAYLOR)):
            power = power * rest + _TAYLOR[k]
        power *= np.int32((np.int32(twos) + np.int32(127)) << 23).view(np.float32)
        return _ZERO if v < _LEAST else _INFINITE if v > _MOST else power

    return single


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
