"""Operators faster than the plain operations of their formulas, which stand beside them as reference."""

from __future__ import annotations

import importlib.util
from functools import cache


@cache
def has_triton() -> bool:
    """Whether Triton is installed; PyTorch for processors comes without it."""
    return importlib.util.find_spec("triton") is not None
