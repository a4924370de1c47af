"""A claim: what a paper says, where, against what, and the program that measures it."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
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
        """The value for this scale.

        Raises:
            LaminaError: there is none for ``paper``.
        """
        if self is Scale.PAPER and paper is None:
            raise LaminaError("it has no scale paper, the largest is full")
        return {Scale.QUICK: quick, Scale.FULL: full, Scale.PAPER: paper}[self]  # pyright: ignore[reportReturnType]

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
        params: the budget of parameters that makers are called with; None for none.
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

    def __post_init__(self) -> None:
        """Refuse targets that have nothing to be compared with."""
        if self.name in self.baselines:
            raise LaminaError(f"claim {self.name!r} has a baseline of its own name")
        for target in self.targets:
            if target.compares and not self.baselines:
                raise LaminaError(f"claim {self.name!r}: target {target.metric!r} has nothing to be compared with")
            if target.against not in (None, *self.baselines):
                asked = f"claim {self.name!r}: target {target.metric!r} is against {target.against!r}"
                raise LaminaError(f"{asked}, no baseline of {', '.join(self.baselines)}")

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
        """A hash of the claim's file, of what it takes from layers, networks and claims, and of the systems it names.

        Evidence that has another one was measured by other code. The engine is not part of it: evidence says which
        versions it was measured with.
        """
        used = (getattr(inspect.getmodule(value), "__name__", "") for value in vars(self.module).values())
        modules = {name for name in used if _MEASURED.match(name)} | {self.module.__name__}
        text = inspect.getsource(self.module)
        named = {name for name in catalog.systems() if name == self.name or f'"{name}"' in text}
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


def _maker(given: str | Maker) -> Maker:
    """A maker, or that of a system of the catalogue."""
    if not isinstance(given, str):
        return given

    def make(in_features: int, out_features: int, **options: Any) -> nn.Module:
        return create(given, in_features=in_features, out_features=out_features, **options)

    return make


def names() -> list[str]:
    """The names of all claims that are installed, without importing any."""
    return sorted(_files())


def require_known(names: Iterable[str]) -> list[str]:
    """The names; one that is not known is answered with the three closest.

    Raises:
        LaminaError: there is no such claim.
    """
    asked, files = list(names), _files()
    for name in asked:
        if name not in files:
            raise unknown("claim", name, files)
    return asked


def find(name: str) -> Claim:
    """The claim called `name`; an unknown name is answered with the three closest.

    Raises:
        LaminaError: there is no such claim, or its file does not declare one.
    """
    (name,), files = require_known([name]), _files()
    try:
        module = importlib.import_module(files[name])
    except LaminaError:
        raise
    except Exception as error:
        raise LaminaError(f"{files[name]} cannot be imported: {type(error).__name__}: {error}") from error
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
                if path.stem in found:
                    raise LaminaError(f"claim {path.stem!r} stands twice: in {found[path.stem]} and in {package}")
                found[path.stem] = f"{package}.claims.{path.stem}"
    return found
