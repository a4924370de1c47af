"""Drop-in layers ``(*, in_features) -> (*, out_features)``: one file per system, found by the catalogue.

Every layer's class is an attribute of this package (``lamina.layers.KANLinear``) and is imported on first
use.
"""

from __future__ import annotations

import importlib
from typing import Any

from lamina.catalog import systems


def _layers() -> dict[str, str]:
    return {s.qualname: s.module for s in systems().values() if s.module.startswith(f"{__name__}.")}


def __getattr__(name: str) -> Any:
    if name == "swap":
        return importlib.import_module("lamina.layers.replace").swap
    if not name.startswith("_") and name in (found := _layers()):
        return getattr(importlib.import_module(found[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_layers(), "swap"])
