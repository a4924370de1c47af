"""The conformance kit: every layer and network runs through the same checks.

::

    import lamina.testing

    @lamina.testing.parametrize()              # every system that is installed
    def test_conformance(check):
        check()

A check raises an `AssertionError` that says what was found and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from lamina.catalog import systems
from lamina.testing import behaviour, fleets, learning, transforms, words
from lamina.testing.subject import Subject

__all__ = ["CHECKS", "checks", "parametrize"]

CHECKS: dict[str, Callable[[Subject], None]] = {
    name.removeprefix("check_"): function
    for module in (behaviour, transforms, fleets, learning, words)
    for name, function in vars(module).items()
    if name.startswith("check_")
}


def checks(system: str | type[nn.Module]) -> list[tuple[str, Callable[[], None]]]:
    """The checks of a layer or a network, each with an id such as ``kan-vmap``.

    Args:
        system: its name in the catalogue, or a class that is declared with `lamina.catalog.layer` or
            `network`.
    """
    subject = Subject.of(system)
    return [(f"{subject.system.name}-{name}", partial(check, subject)) for name, check in CHECKS.items()]


def parametrize(*chosen: str | type[nn.Module]) -> Any:
    """A pytest mark that runs a test with one argument, ``check``, for every check of the `chosen` systems.

    Args:
        chosen: names or classes. Default: every layer and network that is installed, found by the catalogue.
    """
    import pytest

    found = chosen or [s.name for s in systems().values() if s.kind in ("layer", "network")]
    pairs = [pair for system in found for pair in checks(system)]
    return pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in pairs])
