"""Converts a model in place: layers of one type become layers of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from lamina.errors import LaminaError, closest


def swap(
    model: nn.Module,
    old: type[nn.Module],
    new: Callable[..., nn.Module],
    *,
    where: str | Callable[[str, nn.Module], bool] | None = None,
    **options: Any,
) -> nn.Module:
    """Replace the layers of `model` whose type is `old`, in place, by layers `new` of the same sizes.

    Where `new` has a method ``from_linear`` and `old` is `torch.nn.Linear`, the new layer computes what the
    old one does and training goes on from there; otherwise it starts from new weights. It gets the old one's
    device, dtype and training mode. A layer that stands in several places is replaced by one in all of them.
    Subclasses of `old` are left alone: modules that use them, such as `torch.nn.MultiheadAttention`, reach
    into their weights.

    Args:
        model: any module.
        old: the type to replace; its layers have ``in_features``, ``out_features`` and a ``weight``.
        new: the class of the new layers, or any callable with its arguments.
        where: which layers: a pattern for their dotted names, such as ``"encoder.*"``, or a function of the
            name and the layer. Default None: all.
        options: further arguments of `new`.

    Returns:
        `model`; or the new layer if `model` itself is the one to replace.

    Raises:
        LaminaError: no layer has the type and matches `where`.
    """
    places = list(_places(model, old))
    chosen = [(name, layer) for name, layer in places if _matches(where, name, layer)]
    if not chosen:
        names = [name for name, _ in places]
        near = ", ".join(closest(where, names)) if isinstance(where, str) else ", ".join(names[:3])
        found = f"; it has {len(names)}: {near}" if names else ""
        pattern = "" if where is None else f" that matches where={where!r}"
        raise LaminaError(f"{type(model).__name__} has no {old.__name__}{pattern}{found}")
    made: dict[nn.Module, nn.Module] = {}
    for name, layer in chosen:
        if layer not in made:
            made[layer] = _like(layer, new, options)
        if not name:
            return made[layer]
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, made[layer])
    return model


def _places(model: nn.Module, old: type[nn.Module]) -> Iterator[tuple[str, nn.Module]]:
    for name, module in model.named_modules(remove_duplicate=False):
        if type(module) is old:
            yield name, module


def _matches(where: str | Callable[[str, nn.Module], bool] | None, name: str, layer: nn.Module) -> bool:
    if where is None:
        return True
    return fnmatchcase(name, where) if isinstance(where, str) else where(name, layer)


def _like(layer: Any, new: Any, options: dict[str, Any]) -> nn.Module:
    if isinstance(layer, nn.Linear) and hasattr(new, "from_linear"):
        made = new.from_linear(layer, **options)
    else:
        weight: torch.Tensor = layer.weight
        sizes = (layer.in_features, layer.out_features)
        made = new(*sizes, **{"device": weight.device, "dtype": weight.dtype, **options})
    return made.train(layer.training)
