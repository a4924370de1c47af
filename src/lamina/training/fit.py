"""`lamina.fit`: networks trained as a fleet, as many at once as the memory holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lamina.errors import LaminaError
from lamina.training.device import choose_device
from lamina.training.distributed import current
from lamina.training.fleet import Fleet
from lamina.training.member import Member, Trace
from lamina.training.memory import members_at_once, to_bytes
from lamina.training.racing import undivided
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting
from lamina.training.train import train


@dataclass(frozen=True)
class Fitted:
    """Networks that were trained.

    Attributes:
        fleet: all members, each with its best weights; ``fleet.predict(x)``, ``fleet.module(i)``.
        traces: what happened to each.
        at_once: how many were trained as one stack.
    """

    fleet: Fleet
    traces: list[Trace]
    at_once: int

    @property
    def best(self) -> int:
        """The member with the lowest validation loss."""
        return min(range(len(self.traces)), key=lambda i: self.traces[i].loss)


def fit(
    networks: Sequence[nn.Module] | nn.Module | Callable[[int], nn.Module],
    x: Tensor | np.ndarray,
    y: Tensor | np.ndarray,
    *,
    members: Sequence[Member] | None = None,
    weight: Tensor | np.ndarray | None = None,
    recipe: Recipe = Recipe(),
    seed: int = 0,
    device: str = "auto",
    memory: float | str | None = None,
    deadline: float = math.inf,
    settle: bool = False,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train networks of one shape together, one included, on tensors.

    The members of a fleet differ in their initialisation, learning rate, weight decay, dropout, schedule, batch order
    and in the rows that they learn from and are judged on. None influences another, unless they race (`Recipe.racing`).

    Args:
        networks: one for each member, copied; or a function that makes the network of a member from its number, so
            that only those that are in training take up memory (`members` says how many there are then).
        x: (rows, features).
        y: (rows,) class codes as integers for cross-entropy, or values for the squared error (standardise them); or
            (rows, *) several of them a row, for networks that put out (rows, *, classes) or (rows, *).
        members: what sets each apart; None trains each on all rows, with its number as seed, the default learning
            rate and weight decay, to the last step.
        weight: (rows,) of the rows in the losses; None for equal ones.
        recipe: what all members share.
        seed: of dropout and other noise, beside the members' own.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        memory: bytes (or a text such as ``2GB``) that the training may take; by default 0.7 of what is free. Members
            that do not fit are trained afterwards, with the same result, except where they race (`Recipe.racing`):
            those trained at once race with each other, no setting's members are divided, and nobody is stopped where
            the memory does not hold all members of a setting. What is the best of all does not lose in any part.
        deadline: the `time.monotonic()` at which to give up.
        settle: be content at the deadline with the best weights so far, if every member has some.
        checkpoint: a file to write the state to, and to go on from if it is there.
        progress: called with the steps done and the steps planned.

    Raises:
        LaminaError: the numbers of rows or of members do not agree, there is no member, an input is no matrix, or the
            recipe has a penalty and the networks have none.
        OutOfTime: the deadline came, and there is nothing to settle for.
    """
    place = choose_device(device)
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    weight = None if weight is None else torch.as_tensor(weight)
    _require_rows(x, y, weight)
    build, n = _builder(networks, members)
    if members is None:
        everything = np.arange(len(x))
        members = [Member(Setting(dropout=0.0), seed=i, train=everything) for i in range(n)]
    batch = recipe.batch_for(min(len(m.train) for m in members))
    budget = current().memory(device) if memory is None else to_bytes(memory)
    at_once = members_at_once(build(0), x.shape[1], batch, n, budget, penalty=recipe.penalty > 0)
    ranges, recipe = _ranges(members, at_once, recipe)
    parts, traces = [], []
    for numbers in ranges:
        fleet = Fleet([build(i) for i in numbers]).to(place)
        traces += train(
            fleet,
            [members[i] for i in numbers],
            x,
            y,
            weight=weight,
            recipe=recipe,
            seed=seed,
            deadline=deadline,
            settle=settle,
            checkpoint=checkpoint and checkpoint.with_name(f"{checkpoint.name}{numbers.start or ''}"),
            progress=progress and _part(progress, numbers.start, len(numbers), n),
        )
        parts.append(fleet)
    return Fitted(Fleet.join(parts), traces, max(map(len, ranges)))


def _require_rows(x: Tensor, y: Tensor, weight: Tensor | None) -> None:
    if x.ndim != 2 or y.ndim < 1:
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise LaminaError(f"x and y have shapes {shapes}, they have to be (rows, features) and (rows,) or (rows, *)")
    for name, other in (("y", y), ("weight", weight)):
        if other is not None and len(other) != len(x):
            raise LaminaError(f"{name} has {len(other)} rows, x has {len(x)}")


def _ranges(members: Sequence[Member], at_once: int, recipe: Recipe) -> tuple[list[range], Recipe]:
    """Which members are trained at once, one range after another, and by what recipe: without a race where it would
    divide a setting."""
    n = len(members)
    if recipe.racing:
        ranges = undivided([member.entry for member in members], at_once)
        if max(map(len, ranges)) <= at_once:
            return ranges, recipe
    size = math.ceil(n / math.ceil(n / at_once))  # parts of nearly equal size
    return [range(start, min(start + size, n)) for start in range(0, n, size)], replace(recipe, racing=False)


def _builder(
    networks: Sequence[nn.Module] | nn.Module | Callable[[int], nn.Module], members: Sequence[Member] | None
) -> tuple[Callable[[int], nn.Module], int]:
    """What gives the network of a member, and how many members there are."""
    if isinstance(networks, nn.Module) and not isinstance(networks, nn.ModuleList):
        networks = [networks]
    if isinstance(networks, Sequence | nn.ModuleList):
        built = list(networks)
        n = len(built) if members is None else len(members)
        if n != len(built) or not n:
            raise LaminaError(f"{n} members for {len(built)} networks; each needs one")
        return built.__getitem__, n
    if not members:
        raise LaminaError("networks is a function: say by members how many there are")
    return networks, len(members)


def _part(progress: Callable[[int, int], None], start: int, size: int, n: int) -> Callable[[int, int], None]:
    """Progress of a part of the members as progress of all."""
    return lambda done, planned: progress(round((start + size * done / planned) / n * planned), planned)
