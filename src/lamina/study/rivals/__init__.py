"""Rivals: what a network has to beat. One file per rival; a rival that needs a package joins when it is installed.

A rival's file holds a final class with the methods of `Rival` and an instance of it named ``RIVAL``.
"""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lamina.study.rivals._protocol import Rival

BUILT_IN = ("constant", "linear", "hist_gradient_boosting", "sklearn_mlp")


@cache
def names() -> tuple[str, ...]:
    """The rivals whose packages are installed: the built-in ones first."""
    found = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    extra = [name for name in found if name not in BUILT_IN and find_spec(_load(name).requires)]
    return (*BUILT_IN, *extra)


def _load(name: str) -> Rival:
    return import_module(f"{__name__}.{name}").RIVAL


def rival(name: str) -> Rival:
    """The rival called `name`."""
    return _load(name)
