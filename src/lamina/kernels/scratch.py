"""Memory for what an operator computes on the way: kept by each thread, as new memory costs more than arithmetic."""

from __future__ import annotations

import threading

import torch
from torch import Tensor


class _Held(threading.local):
    """What a thread keeps."""

    def __init__(self) -> None:
        self.of: dict[torch.dtype, Tensor] = {}


_HELD = _Held()


def scratch(like: Tensor, count: int) -> Tensor:
    """At least `count` numbers of the type of `like`, of any value, on the processor.

    The next call in the same thread gives the same memory out again.
    """
    if like.dtype not in _HELD.of or _HELD.of[like.dtype].numel() < count:
        with torch.inference_mode(False):  # memory that was made in this mode cannot be written to outside of it
            _HELD.of[like.dtype] = like.new_empty(count)
    return _HELD.of[like.dtype]
