"""Operators faster than the plain operations of their formulas, which stand beside them as reference."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd import forward_ad


@cache
def has_triton() -> bool:
    """Whether Triton is installed; PyTorch for processors comes without it."""
    return importlib.util.find_spec("triton") is not None


def plain_wanted() -> bool:
    """Whether operators give way to plain operations: to the compiler, and to forward mode.

    Forward mode cannot be nested through a `torch.autograd.Function`: second derivatives would be wrong.
    """
    return torch.compiler.is_compiling() or forward_ad._current_level >= 0


def members_first(size: int, dims: Sequence[int | None], tensors: Sequence[Tensor]) -> list[Tensor]:
    """What `vmap` hands over, with the dimension of its members in front; what has none is the same for all."""
    pairs = zip(tensors, dims, strict=True)
    return [t.expand(size, *t.shape) if d is None else t.movedim(d, 0) for t, d in pairs]


def stacked(t: Tensor, core: int) -> Tensor:
    """With all dimensions of members, those before the last `core`, as one."""
    return t.reshape(math.prod(t.shape[: t.ndim - core]), *t.shape[t.ndim - core :])
