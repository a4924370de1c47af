"""The arguments of layers and networks: checked with errors that name them, and written back by ``repr``."""

from __future__ import annotations

import inspect
from numbers import Integral, Real

from torch import Tensor, nn

from lamina.errors import LaminaError


def whole(low: int = 1, /, **sizes: object) -> None:
    """Raise a `LaminaError` for the first of `sizes` that is not a whole number of at least `low`."""
    for name, value in sizes.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
            raise LaminaError(f"{name}={value!r}: {name} has to be a whole number of at least {low}")


def within(low: float, high: float, /, **values: object) -> None:
    """Raise a `LaminaError` for the first of the named `values` that is not a number from `low` to `high`."""
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:
            raise LaminaError(f"{name}={value!r}: {name} has to be a number from {low} to {high}")


def positive(**values: object) -> None:
    """Raise a `LaminaError` for the first of the named `values` that is not a finite number above zero."""
    for name, value in values.items():
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < float("inf"):
            raise LaminaError(f"{name}={value!r}: {name} has to be a finite number above 0")


def features(x: Tensor, wanted: int) -> Tensor:
    """Return `x` if its last dimension has `wanted` entries, else raise a `LaminaError` with both numbers."""
    if x.ndim == 0 or x.shape[-1] != wanted:
        raise LaminaError(f"input of shape {tuple(x.shape)}: its last dimension has to be in_features={wanted}")
    return x


def described(self: nn.Module) -> str:
    """A module's constructor arguments and their values, without device and dtype: its `extra_repr`.

    A module that uses it keeps every argument as an attribute of the same name.
    """
    names = [n for n in inspect.signature(type(self)).parameters if n not in ("device", "dtype")]
    return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
