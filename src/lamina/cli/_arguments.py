"""What texts on the command line mean."""

from __future__ import annotations

import math

from lamina.errors import LaminaError


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def deadline(began: float, time: str | None, share: float = 1.0) -> float:
    """The moment at which a share of the time of a command that began at `began` is over."""
    from lamina.study.compare import seconds

    return math.inf if time is None else began + share * seconds(time)


def seeds(text: str | None) -> int | range | None:
    """The seeds that a text such as ``10`` or ``10-19`` names."""
    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)) or (dash and int(last) < int(first)):
        raise LaminaError(f"--seeds is {text!r}, it has to be a number such as 5 or a range such as 10-19")
    return range(int(first), int(last) + 1) if dash else int(first)
