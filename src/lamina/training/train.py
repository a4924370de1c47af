"""The one training loop: a fleet of members, one included."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lamina.errors import LaminaError
from lamina.training.fleet import Fleet
from lamina.training.member import Member, OutOfTime, Trace
from lamina.training.optimiser import Optimiser
from lamina.training.recipe import Recipe
from lamina.training.run import Run


def train(
    fleet: Fleet,
    members: Sequence[Member],
    x: Tensor,
    y: Tensor,
    *,
    weight: Tensor | None = None,
    recipe: Recipe = Recipe(),
    seed: int = 0,
    optimiser: Optimiser | None = None,
    deadline: float = math.inf,
    settle: bool = False,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trace]:
    """Train every member of `fleet`, in place, and leave each with its best weights.

    The loss is cross-entropy for integer `y`, squared error for floating `y`. Members do not influence each other:
    the gradient of the summed losses falls apart into theirs, and batches and random numbers are each member's own.
    Only a race (`Recipe.racing`) stops members for the sake of others.
    Within `lamina.training.distributed.joined`, each process computes a part of every batch.

    Args:
        fleet: the networks, at their initialisation.
        members: one per network of the fleet.
        x: (rows, features) of the whole data; members point into it.
        y: (rows,) class codes, or values (standardise them); or (rows, *) several a row.
        weight: (rows,) of the rows in the losses; None for equal ones.
        recipe: what all members share.
        seed: of dropout and other noise, beside the members' own.
        optimiser: to go on with, moments and all, changed in place; None for a new one.
        deadline: the `time.monotonic()` at which to give up.
        settle: be content at the deadline with the best weights so far, if every member has some.
        checkpoint: a file to write the state to at every look, and to go on from if it is there.
        progress: called with the steps done and the steps planned.

    Raises:
        LaminaError: the number of members is not the fleet's, or the recipe has a penalty and the networks have none,
            or one that is not one number.
        OutOfTime: the deadline came, and there is nothing to settle for.
    """
    if len(members) != len(fleet):
        raise LaminaError(f"{len(members)} members for a fleet of {len(fleet)} networks")
    x, y = x.to(fleet.device), y.to(fleet.device)
    if recipe.penalty:
        _require_penalty(recipe.penalty, fleet, x)
    run = Run(fleet, members, x, y, None if weight is None else weight.to(fleet.device), recipe, seed, optimiser)
    if checkpoint is not None:
        run.load(checkpoint)
    if run.ranks.world > 1:
        run.ranks.require_same(f"{run.asked} {run.step}")
    with torch.random.fork_rng(devices=[fleet.device] if fleet.device.type == "cuda" else []):
        going = len(run.done) < len(members)
        while going and run.step < run.steps:
            taken = min(run.every, run.steps - run.step)
            for _ in range(taken):
                if deadline < math.inf and run.ranks.any(time.monotonic() > deadline):
                    if settle and all(trace.best >= 0 or trace.diverged for trace in run.traces):
                        return run.traces
                    raise OutOfTime
                run.update()
            going = run.look(taken)
            if checkpoint is not None and run.ranks.leads:
                run.save(checkpoint)
            if progress is not None:
                progress(run.step if going else run.steps, run.steps)
    return run.traces


@torch.no_grad()
def _require_penalty(weight: float, fleet: Fleet, x: Tensor) -> None:
    """Look at the penalty of one member, as a step that fails is tried in other ways first."""
    if not callable(getattr(fleet.template, "penalty", None)):
        raise LaminaError(f"the recipe's penalty is {weight}, but {fleet.name} has no method penalty(x)")
    one = fleet.select([0])
    with torch.random.fork_rng(devices=[fleet.device] if fleet.device.type == "cuda" else []):
        one.penalty(one.parameters, x[None, :2])
