"""Random numbers of a fleet: each member has a stream of its own, whoever else is in the stack."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lamina.errors import LaminaError

BLOCK = 64  # steps whose starting points are drawn at once
POOL = 1 << 22

aten = torch.ops.aten


class Noise:
    """Uniform numbers that depend on a member's seed and the step alone.

    A pool of independent uniform numbers is drawn once. Whatever a network draws in a step is a window of the pool that
    begins at a random place, given by the member's seed, the step and the place in the network. That makes it one copy
    for all members, more than ten times faster than a generator, where two windows share numbers only at other
    positions.

    Args:
        seeds: of the members; equal seeds give equal numbers.
        device: where they are needed.
        shard: how many rows come before those of this process and how many there are in all, in units of its own rows,
            if several processes compute parts of a batch. Its windows are its part of those that one process would
            have, as far as numbers are drawn for rows.
    """

    def __init__(
        self,
        seeds: Sequence[tuple[int, ...]],
        device: torch.device,
        shard: tuple[Fraction | int, Fraction | int] = (0, 1),
    ) -> None:
        self.seeds, self.device, self.shard = list(seeds), device, shard
        self.sizes: list[int] = []
        self.places: dict[int, Tensor] = {}  # memory for the numbers of each place, the same at every step
        self.pool = torch.empty(0)
        self.block, self.table, self.starts = -1, torch.empty(0), torch.empty(0)

    def reserve(self, sizes: Sequence[int]) -> None:
        """Prepare windows of these sizes, one for each place in the network that draws numbers."""
        self.sizes, self.block, self.places = list(sizes), -1, {}
        if sizes:
            self.pool = _pool(max(POOL, 2 * self._in_all(max(sizes))), self.device)

    def _in_all(self, size: int) -> int:
        return math.ceil(self.shard[1] * size)

    def begin(self, step: int) -> None:
        """Move on to the numbers of `step`."""
        if not self.sizes:
            return
        block, at = divmod(step, BLOCK)
        if block != self.block:
            drawn = {s: np.random.default_rng((*s, block)).random((BLOCK, len(self.sizes))) for s in set(self.seeds)}
            free = np.array([len(self.pool) - self._in_all(n) for n in self.sizes])
            starts = np.stack([drawn[s] for s in self.seeds], axis=2) * free[:, None]
            own = np.array([int(self.shard[0] * n) for n in self.sizes])[:, None]
            self.table = torch.from_numpy(starts.astype(np.int64) + own).to(self.device)
            self.block = block
        self.starts = self.table[at]

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the members at these places."""
        self.seeds, self.block, self.places = [self.seeds[i] for i in places], -1, {}

    def uniform(self, site: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Numbers in [0, 1) for a place in the network; the first dimension of `shape` are the members.

        The tensor is written over at the next step.
        """
        windows = self.pool.unfold(0, math.prod(shape[1:]), 1)
        place = self.places.setdefault(site, self.pool.new_empty(0))
        return torch.index_select(windows, 0, self.starts[site], out=place).view(shape).to(dtype)

    def integers(self, site: int) -> list[int]:
        """A whole number for each member."""
        return self.starts[site].tolist()

    def normal(self, site: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Standard normal numbers."""
        return torch.special.ndtri(self.uniform(site, shape, dtype).clamp_(min=2**-25))


@cache
def _pool(size: int, device: torch.device) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(0)).to(device)


# For each operation: from the stream, the place in the network and a tensor like the result, what draws it.
Draw = Callable[..., Tensor]


def _rand(noise: Noise, site: int, like: Tensor) -> Draw:
    def draw(*_: Any, **__: Any) -> Tensor:
        return noise.uniform(site, like.shape, like.dtype)

    return draw


def _randn(noise: Noise, site: int, like: Tensor) -> Draw:
    def draw(*_: Any, **__: Any) -> Tensor:
        return noise.normal(site, like.shape, like.dtype)

    return draw


def _uniform(noise: Noise, site: int, like: Tensor) -> Draw:
    def draw(_: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        return noise.uniform(site, like.shape, like.dtype).mul_(high - low).add_(low)

    return draw


def _normal(noise: Noise, site: int, like: Tensor) -> Draw:
    def draw(_: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
        return noise.normal(site, like.shape, like.dtype).mul_(std).add_(mean)

    return draw


def _exponential(noise: Noise, site: int, like: Tensor) -> Draw:
    def draw(_: Tensor, rate: float = 1.0) -> Tensor:
        return noise.uniform(site, like.shape, like.dtype).neg_().log1p_().div_(-rate)

    return draw


def _bernoulli(noise: Noise, site: int, like: Tensor) -> Draw:
    def draw(chances: Tensor, p: float | None = None) -> Tensor:
        return noise.uniform(site, like.shape, like.dtype).add_(chances if p is None else p).floor_()

    return draw


_DRAWS = {
    aten.rand.default: _rand,
    aten.rand_like.default: _rand,
    aten.randn.default: _randn,
    aten.randn_like.default: _randn,
    aten.uniform_.default: _uniform,
    aten.normal_.default: _normal,
    aten.exponential_.default: _exponential,
    aten.bernoulli.default: _bernoulli,
    aten.bernoulli.p: _bernoulli,
}


def draw_from(noise: Noise, graph: Any, members: int) -> None:
    """Let every operation of a traced `graph` that draws random numbers take them from `noise`.

    Raises:
        LaminaError: an operation draws in a way that is not known, or not for each of the `members`.
    """
    random = torch.Tag.nondeterministic_seeded
    nodes = [n for n in graph.nodes if n.op == "call_function" and random in getattr(n.target, "tags", ())]
    sizes = []
    for site, node in enumerate(nodes):
        like = node.meta["val"]
        if node.target not in _DRAWS:
            raise LaminaError(f"random numbers of {node.target} cannot be drawn member by member")
        if like.shape[:1] != (members,):
            raise LaminaError(f"random numbers of shape {tuple(like.shape)} are not drawn for {members} members each")
        sizes.append(math.prod(like.shape[1:]))
        node.target = _DRAWS[node.target](noise, site, like)
    noise.reserve(sizes)
