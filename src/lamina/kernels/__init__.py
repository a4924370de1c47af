"""Operators faster than the plain operations of their formulas, which stand beside them as reference."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._functorch.utils import unwrap_dead_wrappers
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


def has_loops(first: Tensor, *others: Tensor) -> bool:
    """Whether compiled loops serve: for tensors of one type, single or double precision, on a processor.

    Tensors without content go the same way, so that they tell what memory is needed.
    """
    kind, place = first.dtype, first.device.type
    serves = not plain_wanted() and place in ("cpu", "meta") and kind in (torch.float32, torch.float64)
    return serves and all(t.dtype == kind for t in others)


def arrays(core: int, *tensors: Tensor) -> list[np.ndarray]:
    """Tensors on a processor for compiled loops: contiguous, all dimensions before the last `core` as one.

    A tensor that is contiguous shares its memory with what is returned.
    """
    return [_array(core, t) for t in tensors]


def _array(core: int, t: Tensor) -> np.ndarray:
    found = t.detach().contiguous().numpy()
    if found.ndim == core + 1:
        return found
    return found.reshape(math.prod(found.shape[: found.ndim - core]), *found.shape[found.ndim - core :])


class Operator(torch.autograd.Function):
    """A `torch.autograd.Function` without its look at the signature of `forward` at every call."""

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Outside of transformations at once what the base does in the end; no argument has a default."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*args)
        args = unwrap_dead_wrappers(args)
        return super(torch.autograd.Function, cls).apply(*args)  # pyright: ignore[reportAttributeAccessIssue]


def members_first(size: int, dims: Sequence[int | None], tensors: Sequence[Tensor]) -> list[Tensor]:
    """What `vmap` hands over, with the dimension of its members in front; what has none is the same for all."""
    pairs = zip(tensors, dims, strict=True)
    return [t.expand(size, *t.shape) if d is None else t.movedim(d, 0) for t, d in pairs]


def stacked(t: Tensor, core: int) -> Tensor:
    """With all dimensions of members, those before the last `core`, as one."""
    if t.ndim <= core + 1:
        return t if t.ndim > core else t.unsqueeze(0)
    return t.reshape(math.prod(t.shape[: t.ndim - core]), *t.shape[t.ndim - core :])
