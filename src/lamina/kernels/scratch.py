"""Memory for what an operator computes on the way: kept by each thread, as new memory costs more than arithmetic."""

from __future__ import annotations

import threading
from collections.abc import Iterator

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


def tiles(x: Tensor, count: int, numbers: int) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """Parts of the members and rows of ``(members, rows, features)``, each with `count` tensors of its shape.

    A part has about `numbers` for each of torch's threads: as many members as fit in whole; of one that does not, a
    part of its rows.
    """
    members, rows, features = x.shape
    room = max(1, numbers * torch.get_num_threads() // max(1, features))
    group, size = max(1, min(members, room // max(1, rows))), max(1, min(rows, room))
    memory = scratch(x, count * group * size * features)
    for member in range(0, members, group):
        for row in range(0, rows, size):
            m, r = min(group, members - member), min(size, rows - row)
            buffers = memory[: count * m * r * features].view(count, m, r, features)
            yield (slice(member, member + m), slice(row, row + r)), buffers
