"""Lamina: find out which multi-layer network helps on your data, use it, and check what the papers say.

The public names are imported on first use, so that ``import lamina`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.errors import LaminaError as LaminaError
    from lamina.errors import LaminaWarning as LaminaWarning
    from lamina.estimators import NetworkClassifier as NetworkClassifier
    from lamina.estimators import NetworkRegressor as NetworkRegressor
    from lamina.evidence.reproduce import reproduce as reproduce
    from lamina.layers.replace import swap as swap
    from lamina.model import Model as Model
    from lamina.model import fit_model as fit_model
    from lamina.networks.factory import create as create
    from lamina.study.compare import compare as compare
    from lamina.study.study import Study as Study
    from lamina.training.fit import fit as fit

__version__ = "0.1.0"

_PUBLIC = {
    "LaminaError": "lamina.errors",
    "LaminaWarning": "lamina.errors",
    "Model": "lamina.model",
    "NetworkClassifier": "lamina.estimators",
    "NetworkRegressor": "lamina.estimators",
    "Study": "lamina.study.study",
    "compare": "lamina.study.compare",
    "create": "lamina.networks.factory",
    "fit": "lamina.training.fit",
    "fit_model": "lamina.model",
    "reproduce": "lamina.evidence.reproduce",
    "swap": "lamina.layers.replace",
}
_SUBPACKAGES = ("catalog", "data", "evidence", "layers", "metrics", "networks", "study", "testing", "training")

__all__ = ["__version__", *_PUBLIC]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _SUBPACKAGES:
        return importlib.import_module(f"lamina.{name}")
    raise AttributeError(f"module 'lamina' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBPACKAGES])
