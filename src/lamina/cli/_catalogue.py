"""`lamina list`, `lamina show` and `lamina data`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from lamina import catalog
from lamina.errors import LaminaError
from lamina.terminal import print_json, print_table


def list_(
    pattern: str = "*",
    *,
    kind: str | None = None,
    domain: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the systems of the catalogue.

    Args:
        pattern: part of a name, or a pattern such as res*.
        kind: layer, network, rule or method.
        domain: tables, images, sequences, ... or any.
        json: print JSON.
    """
    from dataclasses import asdict
    from fnmatch import fnmatch

    if kind is not None and kind not in catalog.KINDS:
        raise LaminaError(f"kind {kind!r} is not known; kinds are: {', '.join(catalog.KINDS)}")
    pattern = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    found = [
        s
        for s in catalog.systems().values()
        if fnmatch(s.name, pattern) and kind in (None, s.kind) and domain in (None, s.domain)
    ]
    if json:
        print_json([asdict(s) for s in found])
    elif not found:
        asked = ", ".join(x for x in (pattern, kind, domain) if x)
        raise LaminaError(f"no system fits {asked}; `lamina list` shows all {len(catalog.systems())}")
    else:
        print_table(("name", "kind", "domain", "what it is"), [(s.name, s.kind, s.domain, s.summary) for s in found])


def show(name: str) -> None:
    """Show one system: what it is, its paper, its arguments.

    Args:
        name: as lamina list shows it.
    """
    import inspect

    system = catalog.find(name)
    cls = system.load()
    print(f"{system.name}: {system.summary} ({system.kind}, {system.domain})")
    print(f"{system.module}.{system.qualname}{inspect.signature(cls)}")
    if system.paper:
        print(system.paper)
    print(f"\n{inspect.getdoc(cls)}")


def data() -> None:
    """List the data sets that come along."""
    from lamina.data.bundled import BUNDLED

    rows = [(b.name, str(b.rows), str(b.features), b.task, b.target, b.summary) for b in BUNDLED.values()]
    rows.append(("feynman:I.6.2a", "5000", "1 to 9", "regression", "", "one of 100 formulas of physics (LAMINA_DATA)"))
    print_table(("name", "rows", "columns", "task", "target", "what it is"), rows)
