"""The catalogue: every system that is installed, found by walking packages, read without importing torch.

A system states its facts once, as literals in a decorator on its class::

    @layer(domain="any", summary="dense layer with a periodic part",
           paper="Dong et al. 2024, FAN: Fourier Analysis Networks, arXiv:2410.02675")
    class FANLinear(nn.Module): ...

`systems()` reads these decorators from the source text. The name of a system is the name of its file. Another
package joins through the entry-point group ``lamina.systems``, whose value is the package to walk.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from lamina.errors import LaminaError, unknown

KINDS = ("layer", "network", "rule", "method")
TOKENS = ("sequences", "sets")
# What `lamina compare` trains unless told: the networks that benchmarks/tables.py has measured on 35 tables.
STANDARD = ("bilinear", "densenet", "fan", "hourglass", "kan", "mlp", "moe", "resnet")
GROUP = "lamina.systems"
_DECORATED = re.compile(rf"^@(?P<kind>{'|'.join(KINDS)})\((?:.*?)^class (?P<cls>\w+)", re.MULTILINE | re.DOTALL)
T = TypeVar("T", bound=type)


@dataclass(frozen=True)
class System:
    """The facts of one system, as they stand beside its code.

    Attributes:
        name: the name of its file, unique in the catalogue.
        kind: ``layer``, ``network``, ``rule`` or ``method``.
        domain: the data it is for (``tables``, ``images``, ...), or ``any``.
        summary: what it is, in a few words.
        paper: authors, year, title and arXiv id or DOI; empty for folklore.
        module, qualname: where its class is.
        stacks: whether many of them can be trained as one stack of tensors (see `lamina.training.Fleet`).
    """

    name: str
    kind: str
    domain: str
    summary: str
    paper: str
    module: str
    qualname: str
    stacks: bool = True

    def load(self) -> Any:
        """Import the system's module and return its class."""
        return getattr(importlib.import_module(self.module), self.qualname)


def _declare(kind: str, domain: str, summary: str, paper: str, stacks: bool) -> Callable[[T], T]:
    def mark(cls: T) -> T:
        name = cls.__module__.rpartition(".")[2]
        cls.__lamina__ = System(name, kind, domain, summary, paper, cls.__module__, cls.__qualname__, stacks)
        return cls

    return mark


def layer(*, domain: str, summary: str, paper: str, stacks: bool = True) -> Callable[[T], T]:
    """Declare a drop-in layer ``(*, in_features) -> (*, out_features)``.

    In the domains ``sequences`` and ``sets`` (where the order does not matter) it is one of tokens,
    ``(*, tokens, in_features) -> (*, tokens, out_features)``.
    """
    return _declare("layer", domain, summary, paper, stacks)


def network(*, domain: str, summary: str, paper: str, stacks: bool = True) -> Callable[[T], T]:
    """Declare a whole network for a domain, with one size knob, ``width``."""
    return _declare("network", domain, summary, paper, stacks)


def _facts(path: Path, module: str) -> Iterator[System]:
    text = path.read_text(encoding="utf-8")
    for match in _DECORATED.finditer(text):
        (node,) = ast.parse(f"{match.group()}: ...").body
        call = node.decorator_list[0]  # type: ignore[attr-defined]
        try:
            facts = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
            yield System(name=path.stem, kind=match["kind"], module=module, qualname=match["cls"], **facts)
        except (ValueError, TypeError) as error:
            wanted = ", ".join(f.name for f in fields(System) if f.name in ("domain", "summary", "paper", "stacks"))
            raise LaminaError(
                f"{path}: the facts of {match['cls']} have to be the literals {wanted}: {error}"
            ) from error


def packages() -> list[str]:
    """Lamina and the packages that have joined it."""
    return ["lamina", *(point.value for point in entry_points(group=GROUP))]


def roots(package: str) -> list[Path]:
    """The folders of a package, or the file of a module, without importing it."""
    spec = find_spec(package)
    if spec is None:
        raise LaminaError(f"entry point group {GROUP!r} names the package {package!r}, which cannot be found")
    return [Path(p) for p in spec.submodule_search_locations or [spec.origin or ""]]


def _walk(package: str) -> Iterator[System]:
    for root in roots(package):
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            inside = path.relative_to(root).with_suffix("").parts if root.is_dir() else ()
            if not any(part.startswith("_") for part in inside):
                yield from _facts(path, ".".join((package, *inside)))


@cache
def systems() -> dict[str, System]:
    """All installed systems by name, sorted; neither torch nor any system is imported.

    Raises:
        LaminaError: two systems have one name, or a system's facts are not literals.
    """
    found: dict[str, System] = {}
    for package in packages():
        for system in _walk(package):
            if system.name in found:
                raise LaminaError(
                    f"system {system.name!r} stands twice: in {found[system.name].module} and in {system.module}"
                )
            found[system.name] = system
    return dict(sorted(found.items()))


def find(name: str) -> System:
    """The system called `name`; an unknown name is answered with the three closest."""
    try:
        return systems()[name]
    except KeyError:
        raise unknown("system", name, systems()) from None


def table_networks() -> list[str]:
    """The names of all networks that work on rows of columns: those declared for them, and every layer, stacked."""
    domains = {"network": ("tables", "functions", "any"), "layer": ("any", *TOKENS)}
    return [s.name for s in systems().values() if s.domain in domains.get(s.kind, ())]
