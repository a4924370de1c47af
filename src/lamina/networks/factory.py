"""Networks by name, sized to a budget."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from lamina.catalog import TOKENS, System, find, table_networks
from lamina.errors import LaminaError, unknown
from lamina.layers.arguments import whole
from lamina.networks.embedding import CategoryEmbedding
from lamina.networks.size import meta_size, solve_width
from lamina.networks.stack import Stack
from lamina.networks.tokens import TokenStack

_BUDGET = 20_000
_COARSE = 0.02  # the share of the budget that the width alone may miss it by
_SET_BY_CREATE = ("layer", "tokens", "in_features", "out_features", "width", "dropout", "device", "dtype")


def create(
    name: str | type[nn.Module],
    *,
    in_features: int,
    out_features: int,
    params: int | None = None,
    width: int | None = None,
    categories: Sequence[int] = (),
    dropout: float = 0.0,
    seed: int | None = None,
    **options: Any,
) -> nn.Module:
    """Make a network by name: a network of the catalogue, or a drop-in layer stacked into one.

    Args:
        name: as `lamina list` shows it; or a class that is declared with `lamina.catalog.layer` or
            `lamina.catalog.network`.
        in_features: number of input columns, those with category codes included.
        out_features: number of outputs.
        params: the budget; the width is chosen so that the number of parameters comes nearest to it. Default
            20,000 if `width` is not given either.
        width: the width itself, instead of a budget.
        categories: numbers of categories of the last columns, which hold integer codes: they are embedded,
            see `CategoryEmbedding`. Default (): all columns are numbers.
        dropout: rate of the network's dropout layers. Default 0.0.
        seed: draws the initial weights from a generator of this seed and leaves torch's own alone. Default
            None: the global one is used.
        options: further arguments of the network or of the layer, such as ``depth`` or ``grid``.

    Raises:
        LaminaError: the name or an option is not known, both `params` and `width` are given, the budget is
            too small for the network, or a value is not one that the argument can have.
    """
    if params is not None and width is not None:
        raise LaminaError(f"params={params!r} and width={width!r}: give one of them")
    build = _builder(name, in_features, out_features, tuple(categories), dropout, options)
    sizes = (
        {"width": width} if width is not None else _meet(build, _BUDGET if params is None else params, name, options)
    )
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        return build(**sizes)


def sizes_for(
    name: str | type[nn.Module],
    *,
    in_features: int,
    out_features: int,
    params: int,
    categories: Sequence[int] = (),
    **options: Any,
) -> dict[str, int]:
    """The sizes with which `create` meets a budget: ``width``, and ``last`` where the width alone is too coarse.

    ``create(name, **shape, **sizes_for(name, **shape, params=n))`` is ``create(name, **shape, params=n)``,
    without solving for the sizes again.

    Args and errors: those of `create`.
    """
    build = _builder(name, in_features, out_features, tuple(categories), 0.0, options)
    return _meet(build, params, name, options)


def _resolve(name: str | type[nn.Module]) -> tuple[System, type[nn.Module]]:
    """The facts and the class of a network or a drop-in layer."""
    system: System = find(name) if isinstance(name, str) else getattr(name, "__lamina__")  # noqa: B009
    if system.kind not in ("network", "layer"):
        known = ", ".join(table_networks())
        raise LaminaError(f"system {system.name!r} is a {system.kind}; networks for tables: {known}")
    return system, (system.load() if isinstance(name, str) else name)


def _options(cls: type) -> set[str]:
    return set(inspect.signature(cls).parameters).difference(_SET_BY_CREATE)


def known_options(name: str | type[nn.Module]) -> set[str]:
    """The options that `create` takes: those of the system's class and, for a layer, those of `Stack`."""
    system, cls = _resolve(name)
    return _options(cls) | (_options(Stack) if system.kind == "layer" else set())


def _builder(
    name: str | type[nn.Module],
    in_features: int,
    out_features: int,
    categories: tuple[int, ...],
    dropout: float,
    options: dict[str, Any],
) -> Callable[..., nn.Module]:
    whole(in_features=in_features, out_features=out_features)
    system, cls = _resolve(name)
    known = known_options(name)
    for option in options.keys() - known:
        raise unknown(f"option of {system.name!r}", option, known)

    def build(**sizes: int) -> nn.Module:
        front = CategoryEmbedding(in_features, categories) if categories else None
        inner = front.out_features if front else in_features
        network = _maker(system, cls, inner, options)(inner, out_features, dropout=dropout, **sizes)
        return nn.Sequential(front, network) if front else network

    return build


def _maker(system: System, cls: type[nn.Module], columns: int, options: dict[str, Any]) -> Callable[..., nn.Module]:
    """What makes the network: the class itself or, of a layer, a stack of it."""
    if system.kind != "layer":
        return partial(cls, **options)
    own = {k: v for k, v in options.items() if k in _options(cls)}
    if "tokens" in inspect.signature(cls).parameters:
        own["tokens"] = columns
    stack = TokenStack if system.domain in TOKENS else Stack
    return partial(stack, partial(cls, **own), **{k: v for k, v in options.items() if k not in own})


def _meet(
    build: Callable[..., nn.Module], params: int, name: str | type[nn.Module], options: dict[str, Any]
) -> dict[str, int]:
    """The width nearest to the budget and, where its steps are too coarse, a last layer of its own."""
    whole(params=params)
    fine = "last" not in options and "last" in known_options(name)
    try:
        width = solve_width(lambda width: build(width=width), params)
    except LaminaError as error:
        raise LaminaError(f"{_resolve(name)[0].name!r} with {error}") from None
    size = meta_size(lambda: build(width=width))
    below = width if size <= params else width - 1
    if not fine or below == 0 or abs(size - params) <= _COARSE * params:
        return {"width": width}
    return {"width": below, "last": solve_width(lambda last: build(width=below, last=last), params)}
