"""Errors that speak to the user: what was given, what it was, what was expected, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LaminaError(ValueError):
    """An input that Lamina cannot use. Its text is one line; the command line prints it and exits with code 2."""


class LaminaWarning(UserWarning):
    """Something in the input that makes a result worth less than it looks."""


def closest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The `n` known names that look most like `name`, best first; all of them have to be read to choose."""
    folded = {k.casefold(): k for k in known}
    return [folded[m] for m in difflib.get_close_matches(str(name).casefold(), folded, n=n, cutoff=0.0)]


def unknown(what: str, name: str, known: Iterable[str]) -> LaminaError:
    """The error for a name that is not among the `known` ones, with the three closest."""
    near = ", ".join(closest(name, known))
    return LaminaError(f"{what} {name!r} is not known" + (f"; the closest are: {near}" if near else ""))
