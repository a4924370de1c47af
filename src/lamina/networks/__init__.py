"""Whole networks with one size knob, ``width``, and the means to size them to a budget.

The names are imported on first use: `create`, `sizes_for`, `solve_width`, `count_params`, `flops`, `Stack`,
`TokenStack`, `KAN`, `Dropout`, `CategoryEmbedding`, and the class of every network in the catalogue.
"""

from __future__ import annotations

import importlib
from typing import Any

from lamina.catalog import systems

_PUBLIC = {
    "create": "factory",
    "sizes_for": "factory",
    "solve_width": "size",
    "count_params": "size",
    "flops": "size",
    "Stack": "stack",
    "Dropout": "dropout",
    "CategoryEmbedding": "embedding",
    "TokenStack": "tokens",
    "KAN": "kan.network",
}


def _names() -> dict[str, str]:
    found = {s.qualname: s.module for s in systems().values() if s.module.startswith(f"{__name__}.")}
    return found | {name: f"{__name__}.{module}" for name, module in _PUBLIC.items()}


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in (found := _names()):
        return getattr(importlib.import_module(found[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(_names())
