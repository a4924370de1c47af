"""Recipes: what all members of a fleet share in their training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lamina.errors import LaminaError, unknown
from lamina.training.optimiser import OPTIMISERS
from lamina.training.schedule import SCHEDULES


@dataclass(frozen=True)
class Recipe:
    """How every member is trained.

    Args:
        steps: updates at most. ``None`` takes ``30 sqrt(rows)``, between 300 and 5,000: small tables need many
            passes, large ones few.
        batch_size: rows in an update. ``None`` takes a power of two near ``2 sqrt(rows)``, between 32 and 256.
        optimiser: ``sgd`` (with momentum), ``adam``, ``adamw``, ``nadam`` or ``muon``; see
            `lamina.training.optimiser`. AdamW needs the least tuning.
        schedule: of the learning rate: ``cosine``, ``constant``, ``linear`` or ``one_cycle``; see
            `lamina.training.schedule`.
        warmup: share of the steps in which the learning rate rises to its peak.
        patience: a member stops when this share of the steps has brought no lower validation loss.
        checks: how often the validation loss is looked at in a whole training.
        clip: the largest norm of a member's gradient; ``None`` lets it have any.
        averaging: the weights that are judged and kept are an exponential average over about this share of the
            steps so far (Polyak averaging); 0 keeps the last weights themselves.
        penalty: weight in the loss of what the networks' own ``penalty(x)`` makes of a batch, one number, such as
            that of `lamina.networks.KAN`, which leaves few edges. The losses that are reported and judged are without
            it, and the weights of rows do not count in it.
        precision: ``float32``, or ``bfloat16`` for matrix products under autocast.
        racing: whether settings whose mean validation loss over their members is among the worse half are stopped at
            a third and at two thirds of the steps, see `lamina.training.racing`. It saves time where a setting is
            chosen; it is off by default because members then influence each other, and those that are stopped are not
            what their setting can do. Nothing happens with one setting, or where a member has no validation part.
        compile: whether steps go through `torch.compile`, which takes some ten seconds each time the stack changes.
            ``None`` does so where that is expected to save more, see `lamina.training.compiling`.
    """

    steps: int | None = None
    batch_size: int | None = None
    optimiser: str = "adamw"
    schedule: str = "cosine"
    warmup: float = 0.1
    patience: float = 0.3
    checks: int = 40
    clip: float | None = 1.0
    averaging: float = 0.1
    penalty: float = 0.0
    precision: str = "float32"
    racing: bool = False
    compile: bool | None = None

    def __post_init__(self) -> None:
        if self.precision not in ("float32", "bfloat16"):
            raise LaminaError(f"precision is {self.precision!r}, it has to be 'float32' or 'bfloat16'")
        for what, name, known in (("optimiser", self.optimiser, OPTIMISERS), ("schedule", self.schedule, SCHEDULES)):
            if name not in known:
                raise unknown(what, name, known)
        for name in ("steps", "batch_size", "checks"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise LaminaError(f"{name} is {value}, it has to be at least 1")
        if not 0 <= self.penalty < math.inf:
            raise LaminaError(f"penalty is {self.penalty}, it has to be a finite number of at least 0")

    def steps_for(self, rows: int) -> int:
        """The number of updates for a training part of so many rows."""
        return self.steps or int(np.clip(30 * math.sqrt(rows), 300, 5000))

    def batch_for(self, rows: int) -> int:
        """The number of rows in an update, at most the rows there are."""
        return min(rows, self.batch_size or int(np.clip(2 ** round(math.log2(2 * math.sqrt(rows))), 32, 256)))
