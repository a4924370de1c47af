"""Memory for what an operator computes on the way: kept by each thread, as new memory costs more than arithmetic."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

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


def tiles(
    by_row: Sequence[Tensor], by_member: Sequence[Tensor], count: int, numbers: int
) -> Iterator[tuple[Sequence[Tensor], Sequence[Tensor], bool, Tensor]]:
    """Parts of tensors ``(members, rows, ...)`` and ``(members, ...)``, and memory to compute in.

    The first tensor by rows, ``(members, rows, features)``, decides. A part has about `numbers` of it for each of
    torch's threads: as many members as fit in whole; of one that does not, a part of its rows. Where all fit, a part is
    the tensors themselves, as views cost more than some operations.

    Yields:
        The part of each tensor by rows, of each by members, whether the rows are the first of their members, and
        flat memory for `count` times the numbers of the first's part, of its type.
    """
    members, rows, features = by_row[0].shape
    room = max(1, numbers * torch.get_num_threads() // max(1, features))
    group, size = max(1, min(members, room // max(1, rows))), max(1, min(rows, room))
    memory = scratch(by_row[0], count * group * size * features)
    if group == members and size == rows:
        yield by_row, by_member, True, memory[: count * members * rows * features]
        return
    for member in range(0, members, group):
        m = slice(member, min(member + group, members))
        for row in range(0, rows, size):
            r = slice(row, min(row + size, rows))
            here = memory[: count * (m.stop - member) * (r.stop - row) * features]
            yield [t[m, r] for t in by_row], [t[m] for t in by_member], row == 0, here
