"""The conformance kit: every layer, network and claim runs through the same checks.

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
from lamina.evidence.claim import Claim, find
from lamina.evidence.claim import names as claim_names
from lamina.testing import behaviour, fleets, learning, transforms, words
from lamina.testing.claims import check_claim_facts, check_claim_guards
from lamina.testing.subject import Subject

__all__ = ["CHECKS", "CLAIM_CHECKS", "checks", "parametrize"]

CHECKS: dict[str, Callable[[Subject], None]] = {
    name.removeprefix("check_"): function
    for module in (behaviour, transforms, fleets, learning, words)
    for name, function in vars(module).items()
    if name.startswith("check_")
}
CLAIM_CHECKS: dict[str, Callable[[Claim], None]] = {
    "claim_facts": check_claim_facts,
    "claim_guards": check_claim_guards,
}


def checks(system: str | type[nn.Module]) -> list[tuple[str, Callable[[], None]]]:
    """The checks of a layer or a network and, by name, of its claim, each with an id such as ``kan-vmap``.

    Args:
        system: its name in the catalogue, a class that is declared with `lamina.catalog.layer` or `network`, or the
            name of a claim that is about no system.
    """
    found: list[tuple[str, Callable[[], None]]] = []
    if not isinstance(system, str) or system in systems() or system not in claim_names():
        subject = Subject.of(system)
        found += [(f"{subject.system.name}-{name}", partial(check, subject)) for name, check in CHECKS.items()]
    if isinstance(system, str) and system in claim_names():
        claim = find(system)
        found += [(f"{system}-{name}", partial(check, claim)) for name, check in CLAIM_CHECKS.items()]
    return found


def parametrize(*chosen: str | type[nn.Module]) -> Any:
    """A pytest mark that runs a test with one argument, ``check``, for every check of the `chosen` systems.

    Args:
        chosen: names or classes. Default: every layer, network and claim that is installed.
    """
    import pytest

    found = chosen or sorted({s.name for s in systems().values() if s.kind in ("layer", "network")} | {*claim_names()})
    pairs = [pair for system in found for pair in checks(system)]
    return pytest.mark.parametrize("check", [pytest.param(check, id=name) for name, check in pairs])
