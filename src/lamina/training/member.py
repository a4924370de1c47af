"""Members of a fleet: what sets each apart, and what became of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from lamina.training.setting import Setting


class OutOfTime(Exception):
    """The deadline came before the training was done."""


@dataclass(frozen=True)
class Member:
    """What sets one member of a fleet apart.

    Attributes:
        setting: learning rate, weight decay and dropout.
        seed: of the order of its batches and of its dropout.
        train: rows that it learns from.
        validation: rows that choose its stopping point; none means that it trains to the end.
        schedule: of its learning rate; None for the recipe's.
    """

    setting: Setting
    seed: int
    train: np.ndarray
    validation: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    schedule: str | None = None

    @property
    def entry(self) -> tuple[Setting, str | None]:
        """What races against what: members that differ in their seeds and rows alone race as one."""
        return self.setting, self.schedule


@dataclass
class Trace:
    """What happened to one member.

    Attributes:
        train, validation: mean loss since the last look, and validation loss, at each look.
        best: the look whose weights were kept.
        steps: updates that were made.
        diverged: whether a loss was not finite. The weights kept are those of before, if there were any.
        outraced: whether its setting fell behind in a race, which ended its training if nothing else had before.
    """

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = -1
    steps: int = 0
    diverged: bool = False
    outraced: bool = False

    @property
    def loss(self) -> float:
        """The validation loss of the weights that were kept; infinite if there is none."""
        return self.validation[self.best] if self.best >= 0 and self.validation else math.inf
