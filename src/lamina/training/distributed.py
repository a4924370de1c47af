"""Data-parallel training: several processes, each with its part of every batch, train one fleet."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import joblib
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from lamina.errors import LaminaError
from lamina.training.device import choose_device
from lamina.training.memory import SHARE, free_bytes

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, as one of them sees it. Alone, every method gives back what it was given.

    All processes have to call the same methods in the same order.

    Attributes:
        rank: number of this process, from 0.
        world: how many there are.
        local_world: how many of them are on this machine.
        device: the type of that on which the tensors are that they exchange: ``cpu`` or ``cuda``.
    """

    rank: int = 0
    world: int = 1
    local_world: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and prints."""
        return self.rank == 0

    def part(self, rows: int) -> slice:
        """The rows of `rows` that this process computes. The parts differ by one row at most."""
        return slice(self.rank * rows // self.world, (self.rank + 1) * rows // self.world)

    def shard(self, rows: int) -> tuple[Fraction, Fraction]:
        """How many rows come before those of this process, and how many there are in all, in units of its own rows.

        Raises:
            LaminaError: there are more processes than rows.
        """
        if rows < self.world:
            raise LaminaError(f"{self.world} processes for batches of {rows} rows; each needs at least one row")
        part = self.part(rows)
        return Fraction(part.start, part.stop - part.start), Fraction(rows, part.stop - part.start)

    def combine(self, loss: Tensor, gradient: Tensor, rows: int, weight: Tensor | None) -> None:
        r"""Make the whole batch's gradient, on all processes, from those of the parts, in place.

        The loss of a part is a mean under its own weights, :math:`L_r = \sum_{i \in r} w_i l_i / W_r`, so the whole
        batch's is :math:`\sum_r (W_r / W) L_r`, and so is its gradient.

        Args:
            loss: (members,) of this process's part; becomes its share :math:`(W_r / W) L_r`, to be summed later.
            gradient: (members, parameters) of this process's part; becomes the whole batch's.
            rows: of the whole batch.
            weight: (members, rows) of the whole batch, or None for equal ones.
        """
        if self.world == 1:
            return
        part = self.part(rows)
        if weight is None:
            share = loss.new_tensor((part.stop - part.start) / rows)
        else:
            share = weight[:, part].sum(1) / weight.sum(1).clamp_min(torch.finfo(weight.dtype).tiny)
        loss *= share
        gradient *= share[..., None]
        self.sum(gradient)

    def sum(self, *tensors: Tensor) -> None:
        """Replace each tensor by its sum over the processes."""
        if self.world > 1:
            for tensor in tensors:
                self._exchange(dist.all_reduce, tensor)

    def follow(self, *tensors: Tensor) -> None:
        """Replace each tensor by that of the first process."""
        if self.world > 1:
            for tensor in tensors:
                self._exchange(dist.broadcast, tensor, 0)

    def any(self, here: bool) -> bool:
        """Whether it is so on any process."""
        if self.world == 1:
            return here
        count = torch.tensor([float(here)], device=self.device)
        self.sum(count)
        return bool(count)

    def require_same(self, text: str) -> None:
        """Make sure that all processes are about to do the same thing, which `text` stands for.

        Raises:
            LaminaError: on all processes, if the texts differ.
        """
        digest = hashlib.sha256(text.encode()).digest()[:7]
        mine = torch.tensor([int.from_bytes(digest)], device=self.device)
        first = mine.clone()
        self.follow(first)
        if self.any(not torch.equal(mine, first)):
            raise LaminaError("the processes do not train the same: their rows, settings or checkpoints differ")

    def memory(self, device: str = "auto") -> int:
        """Bytes that each process may take, the same for all: its share of 0.7 of what is free."""
        free = int(SHARE * free_bytes(choose_device(device)) / (1 if self.device == "cuda" else self.local_world))
        if self.world == 1:
            return free
        least = torch.tensor([free], device=self.device)
        self._exchange(dist.all_reduce, least, dist.ReduceOp.MIN)
        return int(least)

    def _exchange(self, operation: Callable[..., Any], tensor: Tensor, *options: Any) -> None:
        try:
            operation(tensor, *options)
        except RuntimeError as error:
            which = f"process {self.rank} of {self.world}"
            raise LaminaError(f"{which} has lost another, which ended or is out of reach") from error


ALONE = Ranks()
_current: ContextVar[Ranks] = ContextVar("ranks", default=ALONE)


def current() -> Ranks:
    """The processes that this one trains with at the moment."""
    return _current.get()


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks]:
    """Let the processes that torchrun started train together in this block; alone, nothing changes.

    Every process does all that the block says, on the same data: `lamina.fit` then computes a part of each batch in
    each, and all end with the same networks. An error in one process ends all: the process that failed first raises
    it, the others end in silence, as `SystemExit`. Warnings are shown by the first process alone.

    Args:
        device: on the CPU the processes speak by gloo; on ``cuda`` by NCCL, each with the GPU of its local number.

    Raises:
        LaminaError: the device cannot be shared, there are fewer GPUs than processes, or the others are out of reach.
    """
    if any(name not in os.environ for name in TORCHRUN) or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    rank, world, local_rank, local_world = (int(os.environ[name]) for name in TORCHRUN)
    place = choose_device(device)
    if place.type == "cuda":
        _take_gpu(local_rank, local_world)
    elif place.type != "cpu":
        raise LaminaError(f"device {place.type!r} cannot be shared by {world} processes; use cpu or cuda")
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, joblib.cpu_count() // local_world))
    from torch import _dynamo  # noqa: F401 - imported later it keeps the group, whose threads outlive the interpreter

    store = _meet(rank, world, "nccl" if place.type == "cuda" else "gloo")
    token = _current.set(Ranks(rank, world, local_world, place.type))
    try:
        with warnings.catch_warnings():
            if rank:
                warnings.simplefilter("ignore")
            yield _current.get()
        dist.barrier()  # a process that leaves early can take the threads of the others' connections down
    except BaseException:
        if _failed_first(store, rank):
            raise
        raise SystemExit(1) from None
    finally:
        _current.reset(token)
        dist.destroy_process_group()


def _take_gpu(local_rank: int, local_world: int) -> None:
    if local_world > torch.cuda.device_count():
        raise LaminaError(f"{local_world} processes for {torch.cuda.device_count()} GPUs on this machine")
    torch.cuda.set_device(local_rank)


def _meet(rank: int, world: int, backend: str) -> Store:
    try:
        store, _, _ = next(rendezvous("env://", rank, world))
        dist.init_process_group(backend, store=store, rank=rank, world_size=world)
    except (RuntimeError, ValueError) as error:
        raise LaminaError(f"process {rank} of {world} cannot meet the others: {error}") from error
    return store


def _failed_first(store: Store, rank: int) -> bool:
    """Whether no other process has said before that it failed; the store is torchrun's, and outlives them all."""
    try:
        return store.add("lamina/failed", 1) == 1
    except RuntimeError:
        return rank == 0
