"""The methods of a study in the order of their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard: a method with its place, 1 being the best; no place without a score.

    `low` and `high` are the ends of the 95 % interval; whatever is not known is None.
    """

    place: int | None
    name: str
    summary: str
    rival: bool
    mean: float | None
    low: float | None
    high: float | None
    ensemble: float | None
    params: int | None
    flops: int | None
    seconds: float | None
    diverged: int


def _mean(values: Sequence[float | None] | None) -> float | None:
    known = [v for v in values or [] if v is not None]
    return sum(known) / len(known) if known else None


def leaderboard(summary: Summary) -> list[Row]:
    """Networks and rivals, best mean score first whatever its direction; those without a score last."""
    entries = [(e, rival) for key, rival in (("networks", False), ("rivals", True)) for e in summary.get(key) or []]
    sign = -1 if summary["higher_is_better"] else 1

    def order(item: tuple[Mapping[str, Any], bool]) -> tuple[float, bool, str]:
        entry, rival = item
        return (math.inf if entry.get("mean") is None else sign * entry["mean"], rival, entry["name"])

    entries.sort(key=order)
    return [
        Row(
            place=None if entry.get("mean") is None else place,
            name=entry["name"],
            summary=entry.get("summary") or "",
            rival=rival,
            mean=entry.get("mean"),
            low=entry.get("low"),
            high=entry.get("high"),
            ensemble=_mean(entry.get("ensemble")),
            params=entry.get("params"),
            flops=entry.get("flops"),
            seconds=entry.get("fit_seconds"),
            diverged=entry.get("diverged") or 0,
        )
        for place, (entry, rival) in enumerate(entries, 1)
    ]
