"""Operators faster than the plain operations of their formulas, which stand beside them as reference."""

from __future__ import annotations

import importlib.util
import math
from functools import cache

from torch import Tensor


@cache
def has_triton() -> bool:
    """Whether Triton is installed; PyTorch for processors comes without it."""
    return importlib.util.find_spec("triton") is not None


def stacked(t: Tensor, core: int) -> Tensor:
    """With all dimensions of members, those before the last `core`, as one."""
    return t.reshape(math.prod(t.shape[: t.ndim - core]), *t.shape[t.ndim - core :])
