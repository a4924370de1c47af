"""What the numbers of a claim have to reach, fixed beforehand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lamina.errors import LaminaError

KINDS = ("ratio", "difference", "value", "every value")


@dataclass(frozen=True)
class Target:
    """A bound on one metric.

    Attributes:
        metric: its name, with its unit if it has one; a key of what the claim measures.
        of: what is bounded: the ``ratio`` of the system's number to a baseline's (both above 0), their ``difference``,
            the system's own ``value``, or ``every value`` of the system, on each draw without exception (an identity,
            an equivariance, a bound).
        at_most, at_least: the bound, one of them.
        against: the baseline; None for each of them.
        scale: the smallest scale at which the metric is measured.
    """

    metric: str
    of: Literal["ratio", "difference", "value", "every value"]
    at_most: float | None = None
    at_least: float | None = None
    against: str | None = None
    scale: Literal["quick", "full", "paper"] = "quick"

    def __post_init__(self) -> None:
        """Refuse a target that is none."""
        if self.of not in KINDS:
            raise LaminaError(f"target {self.metric!r}: of={self.of!r} has to be one of {', '.join(KINDS)}")
        if (self.at_most is None) == (self.at_least is None):
            raise LaminaError(f"target {self.metric!r} needs one of at_most and at_least")
        if self.of == "ratio" and self.bound <= 0:
            raise LaminaError(f"target {self.metric!r}: a ratio of at most or at least {self.bound} is no bound")
        if self.against is not None and not self.compares:
            raise LaminaError(f"target {self.metric!r}: {self.of} is not compared with anything, not {self.against!r}")

    @property
    def bound(self) -> float:
        """The number that is not to be passed."""
        return self.at_most if self.at_most is not None else self.at_least or 0.0

    @property
    def compares(self) -> bool:
        """Whether it needs a baseline."""
        return self.of in ("ratio", "difference")

    @property
    def sign(self) -> int:
        """1 where larger numbers are better, -1 where smaller ones are."""
        return -1 if self.at_most is not None else 1

    def __str__(self) -> str:
        """In words, without the metric."""
        return f"{self.of} at {'most' if self.sign < 0 else 'least'} {self.bound:g}"

    def effects(self, system: Sequence[float], baseline: Sequence[float] | None = None) -> np.ndarray:
        """What is bounded, a number for each seed; NaN where one of the two is not finite."""
        a = np.asarray(system, dtype=float)
        if not self.compares:
            return a
        b = np.asarray(baseline, dtype=float)
        with np.errstate(all="ignore"):
            return a / b if self.of == "ratio" else a - b

    def margins(self, system: Sequence[float], baseline: Sequence[float] | None = None) -> np.ndarray:
        """By how much each seed reaches the bound, positive where it does, ratios as logarithms.

        Where the system's number is not finite it has failed: minus infinity. Where the baseline's alone is not, the
        baseline has: plus infinity. Two zeros have a ratio of 1.

        Raises:
            LaminaError: a ratio of numbers below 0.
        """
        a = np.asarray(system, dtype=float)
        b = np.zeros_like(a) if baseline is None else np.asarray(baseline, dtype=float)
        if self.of == "ratio" and min(np.nanmin(a, initial=0), np.nanmin(b, initial=0)) < 0:
            raise LaminaError(f"{self.metric!r} is bounded as a ratio and has numbers below 0: {[*a, *b]}")
        with np.errstate(all="ignore"):
            if self.of == "ratio":
                logs = np.where((a == 0) & (b == 0), 0.0, np.log(a) - np.log(b))
                found = self.sign * (logs - math.log(self.bound))
            else:
                found = self.sign * (self.effects(system, baseline) - self.bound)
        return np.where(np.isfinite(a), np.where(np.isfinite(b), found, np.inf), -np.inf)
