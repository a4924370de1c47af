"""Evidence: what was claimed and what was measured, as one JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lamina.errors import LaminaError
from lamina.evidence.claim import Scale
from lamina.files import write_json


@dataclass(frozen=True)
class Evidence:
    """What came of a claim.

    Attributes:
        name, paper, says, where, data, reported, limits, unequal: the claim's facts, see `Claim`.
        scale: ``quick``, ``full`` or ``paper``.
        seeds: that were measured.
        arms: of the system, which is the first, and of each baseline, for each seed: ``values`` of each metric,
            ``params`` of the networks, ``steps`` of their trainings, ``seconds``.
        findings: of each target and baseline, see `lamina.evidence.judge.Finding`.
        verdict: ``holds``, ``does not hold`` or ``not decided``.
        seconds: that all seeds took, each on one thread.
        date: when the last seed was measured.
        environment: versions and machine.
        fingerprint: of the files of the claim and its system.
    """

    name: str
    paper: str
    says: str
    where: str
    data: str
    reported: str
    limits: str
    unequal: str
    scale: str
    seeds: list[int]
    arms: dict[str, dict[str, Any]]
    findings: list[dict[str, Any]]
    verdict: str
    seconds: float
    date: str
    environment: dict[str, Any]
    fingerprint: str

    @property
    def system(self) -> dict[str, Any]:
        """What was measured of the system."""
        return self.arms[self.name]

    @property
    def baselines(self) -> dict[str, dict[str, Any]]:
        """What was measured of each baseline."""
        return {name: arm for name, arm in self.arms.items() if name != self.name}

    def summary(self) -> dict[str, Any]:
        """The evidence in short, as ``lamina reproduce --json`` prints it; numbers are medians over the seeds."""
        facts = ("name", "paper", "says", "scale", "seeds")
        return {
            **{name: getattr(self, name) for name in facts},
            "measured": medians(self.system["values"]),
            "baseline": {name: medians(arm["values"]) for name, arm in self.baselines.items()},
            "verdict": self.verdict,
            "seconds": self.seconds,
        }

    def plot(self) -> Any:
        """A drawing of every seed: shown by a notebook, ``.save("kan.svg")`` writes it."""
        from lamina.evidence.drawing import draw

        return draw(self)

    def save(self, path: Path) -> None:
        """Write the file."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Evidence:
        """Read a file that `save` has written.

        Raises:
            LaminaError: the file is none.
        """
        try:
            found = cls(**json.loads(path.read_text(encoding="utf-8")))
            _ = found.system
        except (ValueError, TypeError, KeyError) as error:
            raise LaminaError(f"{path} is no evidence: {error}") from error
        return found


def medians(values: Mapping[str, Sequence[float | None]]) -> dict[str, float | None]:
    """Of each metric, the median over the seeds; None where a seed has no finite number."""
    whole = {m: [v for v in numbers if v is not None and math.isfinite(v)] for m, numbers in values.items()}
    return {m: median(whole[m]) if numbers and len(whole[m]) == len(numbers) else None for m, numbers in values.items()}


def chance(finding: Mapping[str, Any]) -> str:
    """The smaller of a finding's two probabilities, in words; empty for a bound on every value, which knows none."""
    return "" if finding["reached"] is None else f"{min(finding['reached'], finding['missed']):.2g}"


def place(folder: Path, scale: str, name: str) -> Path:
    """Where the evidence on a claim lies."""
    return folder / scale / f"{name}.json"


def collected(folder: Path) -> list[Evidence]:
    """Of each claim in a folder the evidence of the largest scale, by name.

    Raises:
        LaminaError: the folder holds none, or a file is none.
    """
    found = {path.stem: path for scale in Scale for path in sorted((folder / scale).glob("[!.]*.json"))}
    if not found:
        raise LaminaError(f"there is no evidence in {str(folder)!r}; lamina reproduce all makes it")
    return [Evidence.load(path) for _, path in sorted(found.items())]


def counted(found: Sequence[Evidence]) -> str:
    """How many claims hold, do not hold and are not decided, in words."""
    holds, fails, undecided = (sum(e.verdict == v for e in found) for v in ("holds", "does not hold", "not decided"))
    return (
        f"{len(found)} claim{'s' * (len(found) != 1)}: {holds} hold{'s' * (holds == 1)}, "
        f"{fails} do{'es' * (fails == 1)} not hold, {undecided} {'is' if undecided == 1 else 'are'} not decided"
    )
