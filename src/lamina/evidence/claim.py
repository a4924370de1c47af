"""A claim: what a paper says, where, against what, and the program that measures it."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any, TypeVar

from torch import nn

from lamina import catalog
from lamina.errors import LaminaError, unknown
from lamina.evidence.arm import Arm, Maker
from lamina.evidence.bound import Target
from lamina.networks.factory import create

T = TypeVar("T")
_MEASURED = re.compile(r"lamina\.(layers|networks)\.|(\w+\.)+claims\.")
Measure = Callable[[Arm, int, "Scale"], Mapping[str, float]]


class Scale(StrEnum):
    """How much is measured: ``quick`` (seconds), ``full`` (minutes), ``paper`` (as large as in the paper)."""

    QUICK = "quick"
    FULL = "full"
    PAPER = "paper"

    def pick(self, quick: T, full: T, paper: T | None = None) -> T:
        """The value for this scale; a claim without one for ``paper`` is no larger than ``full``."""
        return {Scale.QUICK: quick, Scale.FULL: full, Scale.PAPER: full if paper is None else paper}[self]

    def reaches(self, other: str) -> bool:
        """Whether what is measured from `other` on is measured at this scale."""
        order = list(Scale)
        return order.index(self) >= order.index(Scale(other))


@dataclass(frozen=True)
class Claim:
    """A paper's statement as a program.

    `measure` is called with one arm after the other, the system and each baseline, and cannot tell which it was given.
    It returns one number for each metric. The verdict is not its business, see `lamina.evidence.judge`.

    Attributes:
        name: of its file; where that is a system of the catalogue, the claim is about it.
        measure: ``measure(arm, seed, scale)``, a number for each metric of the targets.
        says: what the paper states, in our words: one sentence.
        where: the section, figure or table of the paper.
        paper: authors, year, title and arXiv id or DOI; that of the system by default.
        targets: what the numbers have to reach, fixed beforehand.
        system: what makes the system's networks: a name of the catalogue, or ``maker(in_features, out_features,
            **options)``.
        baselines: name and maker of what it is compared with.
        params: the budget of parameters of a network that a name of the catalogue stands for.
        data: the real data, or how they are generated.
        reported: what the paper reports, never mixed with what is measured here.
        limits: why a result here may differ: scale, data, budget.
        unequal: why arms differ in their parameters, where they have to.
    """

    name: str
    measure: Measure
    says: str
    where: str
    paper: str
    targets: tuple[Target, ...]
    system: Maker
    baselines: Mapping[str, Maker]
    params: int | None
    data: str
    reported: str
    limits: str
    unequal: str

    def arms(self) -> dict[str, Arm]:
        """New arms: the system under the claim's name, then the baselines."""
        return {name: Arm(make, self.params) for name, make in {self.name: self.system, **self.baselines}.items()}

    def targets_at(self, scale: Scale) -> tuple[Target, ...]:
        """The targets that are measured at a scale."""
        return tuple(t for t in self.targets if scale.reaches(t.scale))

    @property
    def module(self) -> ModuleType:
        """The claim's file."""
        return importlib.import_module(self.measure.__module__)

    @property
    def fingerprint(self) -> str:
        """A hash of the files of the claim, its arms and what else it takes from layers, networks and claims.

        Evidence that has another one was measured by other code.
        """
        used = (getattr(inspect.getmodule(value), "__name__", "") for value in vars(self.module).values())
        modules = {name for name in used if _MEASURED.match(name)} | {self.module.__name__}
        named = {make.name for make in (self.system, *self.baselines.values()) if isinstance(make, _Named)}
        modules |= {catalog.find(name).module for name in named}
        sources = (inspect.getsource(importlib.import_module(name)) for name in sorted(modules))
        return hashlib.sha256("\0".join(sources).encode()).hexdigest()[:16]


def claim(
    *,
    says: str,
    where: str,
    targets: tuple[Target, ...],
    data: str,
    reported: str,
    limits: str,
    paper: str = "",
    system: str | Maker = "",
    baselines: Mapping[str, str | Maker] | tuple[str, ...] = (),
    params: int | None = None,
    unequal: str = "",
) -> Callable[[Measure], Claim]:
    """Declare a claim: a decorator for its `measure`; the arguments are those of `Claim`.

    Args:
        baselines: names of the catalogue, or names with makers.
    """

    def declare(measure: Measure) -> Claim:
        name = measure.__module__.rpartition(".")[2]
        known = catalog.systems().get(name)
        if not paper and not (known and known.paper):
            raise LaminaError(f"claim {name!r} names no paper, and no system of this name does")
        named = baselines if isinstance(baselines, Mapping) else {b: b for b in baselines}
        return Claim(
            name=name,
            measure=measure,
            says=says,
            where=where,
            paper=paper or (known.paper if known else ""),
            targets=targets,
            system=_maker(system or name),
            baselines={n: _maker(m) for n, m in named.items()},
            params=params,
            data=data,
            reported=reported,
            limits=limits,
            unequal=unequal,
        )

    return declare


class _Named:
    """The maker of a system of the catalogue."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, in_features: int, out_features: int, **options: Any) -> nn.Module:
        return create(self.name, in_features=in_features, out_features=out_features, **options)


def _maker(given: str | Maker) -> Maker:
    return _Named(given) if isinstance(given, str) else given


def names() -> list[str]:
    """The names of all claims that are installed, without importing any."""
    return sorted(_files())


def find(name: str) -> Claim:
    """The claim called `name`; an unknown name is answered with the three closest.

    Raises:
        LaminaError: there is no such claim, or its file does not declare one.
    """
    files = _files()
    if name not in files:
        raise unknown("claim", name, files)
    module = importlib.import_module(files[name])
    found = [value for value in vars(module).values() if isinstance(value, Claim)]
    if len(found) != 1:
        raise LaminaError(f"{files[name]} declares {len(found)} claims; a file holds one")
    return found[0]


def _files() -> dict[str, str]:
    """The module of each claim: a file in the folder ``claims`` of Lamina or of a package that has joined."""
    found: dict[str, str] = {}
    for package in catalog.packages():
        for root in catalog.roots(package):
            for path in sorted(root.glob("claims/[!_]*.py")):
                found[path.stem] = f"{package}.claims.{path.stem}"
    return found
