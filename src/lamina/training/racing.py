"""Racing: settings that fall behind are stopped early, so that the search for the best one costs less."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np

RUNGS = (1 / 3, 2 / 3)
"""Shares of the planned steps at which a race is held.

Chosen on the full trainings of 3 networks with 8 settings and 2 seeds on 27 tables of up to 2,000 rows (none of them in
``benchmarks/racing.py``): a third and two thirds spare 22 % of the steps beyond what patience spares and find the same
setting in 95 % of the cases, else one whose validation loss is at most 0.6 % higher. A quarter and a half spare 31 %,
but find the same setting in 88 %, and once one whose validation loss is 44 % higher.
"""


def rung_between(before: int, step: int, steps: int, rungs: Sequence[float] = RUNGS) -> bool:
    """Whether one of the rungs lies after step `before` and not after `step`, of `steps` in the whole training.

    A rung is due at the first look at the validation losses that does not come before it. The last look is none: the
    training is over then.
    """
    return step < steps and any(before < rung * steps <= step for rung in rungs)


def fallen_behind(entries: Sequence[Hashable], losses: Sequence[float]) -> list[int]:
    """Which members a rung stops: those of the worse half of the entries still in the race, rounded down.

    Entries are ranked by the mean of their members' losses, as the choice between them is made in the end; of equal
    ones, those named first are better. At least one goes on, so that a race of one entry stops nobody.

    The lowest loss so far of a training never rises. So if nobody who was stopped is better than the worst who goes on,
    that stays so: an entry that was stopped is never chosen in the end. The price is that one who would have overtaken
    the others later is not found.

    Args:
        entries: what each member of the race belongs to, its setting.
        losses: the lowest validation loss of each so far; infinite if it diverged before there was one.

    Returns:
        Places in `entries`, in ascending order.

    Source: a step of successive halving, after Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and
    Hyperparameter Optimization, arXiv:1502.07943. They halve until one is left; here the rungs are fixed, and
    those that are left behind the last one go on to the end.
    """
    names = list(dict.fromkeys(entries))
    values = np.asarray(losses, dtype=float)
    means = [values[[entry == name for entry in entries]].mean() for name in names]
    order = np.argsort(means, kind="stable")
    stopped = {names[i] for i in order[math.ceil(len(names) / 2) :]}
    return [place for place, entry in enumerate(entries) if entry in stopped]


def undivided(entries: Sequence[Hashable], most: int) -> list[range]:
    """Consecutive places in parts that divide no entry, each of at most so many where that can be done.

    A part has more than `most` places where the members of one entry, and those between them, are that many.
    """
    last = {entry: place for place, entry in enumerate(entries)}
    cuts, start, reach = [0], 0, 0
    for place, entry in enumerate(entries):
        reach = max(reach, last[entry])
        if reach == place:
            if place + 1 - cuts[-1] > most and start > cuts[-1]:
                cuts.append(start)
            start = place + 1
    return [range(a, b) for a, b in pairwise([*cuts, len(entries)])]
