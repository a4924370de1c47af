"""`lamina.reproduce`: measure what a paper claims, seed by seed, and say whether it holds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from joblib import delayed

from lamina.errors import LaminaError
from lamina.evidence.arm import Arm
from lamina.evidence.claim import Claim, Scale, find, require_known
from lamina.evidence.evidence import Evidence, place
from lamina.evidence.judge import judge
from lamina.files import finite
from lamina.study.summary import environment
from lamina.study.workers import LOKY, Workers, end_with, hire, limited

SEEDS = {Scale.QUICK: 5, Scale.FULL: 10, Scale.PAPER: 10}
Progress = Callable[[str, float, str], None]


def reproduce(
    name: str,
    *,
    seeds: int | Sequence[int] | None = None,
    scale: str = "quick",
    jobs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Evidence:
    """Measure the claim called `name` and say whether it holds.

    Args:
        name: of the claim, which is that of its system; ``lamina evidence`` lists all.
        seeds: how many, from 0 on, or which. Default: 5 at scale ``quick``, else 10; with fewer than 5 nothing but an
            exact claim is decided.
        scale: ``quick`` (seconds), ``full`` (minutes) or ``paper``.
        jobs: processes, each with one thread; as many as cores by default. The numbers do not depend on it.
        out: a folder to write the evidence to, as ``SCALE/NAME.json``; by default it is not written.
        resume: go on with what an interrupted call has left in the folder, or with fewer seeds.

    Returns:
        The evidence: ``.verdict``, ``.findings``, ``.arms``, ``.plot()``.

    Raises:
        LaminaError: there is no such claim, or it cannot be measured, for example because its data are not there.
    """
    ((_, found),) = reproduce_all([name], seeds=seeds, scale=scale, jobs=jobs, out=out, resume=resume)
    if isinstance(found, LaminaError):
        raise found
    return found


def reproduce_all(
    names: Sequence[str],
    *,
    seeds: int | Sequence[int] | None = None,
    scale: str = "quick",
    jobs: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[tuple[str, Evidence | LaminaError]]:
    """Measure several claims, see `reproduce`; each comes as soon as it is whole, in any order.

    Args:
        progress: called with what was measured last, the share of all seeds that is done, and who computes.

    Yields:
        The name, with the evidence or with the reason why it could not be measured; the others go on.
    """
    if scale not in list(Scale):
        raise LaminaError(f"scale {scale!r} is not known; scales are: {', '.join(Scale)}")
    size = Scale(scale)
    numbers = _numbers(SEEDS[size] if seeds is None else seeds)
    known = require_known(names)
    folder = None if out is None else _writable(Path(out))
    runs: dict[str, _Run] = {}
    for name in dict.fromkeys(known):
        try:
            runs[name] = _Run(find(name), size, numbers, folder)
        except LaminaError as error:
            yield name, error
    for run in runs.values():
        run.go_on() if resume else run.require_no_more()
    workers = replace(hire(jobs, sum(len(run.left) for run in runs.values())), threads=1)
    left = [(name, seed) for name, run in runs.items() for seed in run.left]
    done, total = 0, sum(len(run.numbers) for run in runs.values())
    for name, run in runs.items():
        done += len(run.numbers) - len(run.left)
        if not run.left:
            yield name, run.finish(workers)
    for name, seed, found in _measured(left, size, workers):
        done, run = done + 1, runs[name]
        if progress is not None:
            progress(f"{name}, seed {seed}", done / total, str(workers))
        if isinstance(found, LaminaError):
            if run.error is None:
                yield name, found
            run.error = found
            continue
        run.add(seed, found, workers)
        if not run.left and run.error is None:
            yield name, run.finish(workers)


def _writable(folder: Path) -> Path:
    """The folder, which is there now."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LaminaError(f"evidence cannot be written to {str(folder)!r}: {error.strerror}") from error
    return folder


def _numbers(seeds: int | Sequence[int]) -> list[int]:
    numbers = list(range(seeds)) if isinstance(seeds, int) else sorted({int(seed) for seed in seeds})
    if not numbers or numbers[0] < 0:
        raise LaminaError(f"seeds is {seeds!r}, it has to be at least 1, or numbers that are at least 0")
    return numbers


Measured = dict[str, dict[str, Any]]
"""Of each arm what one seed gave: values by metric, params, steps, seconds."""


@dataclass
class _Run:
    """The measuring of one claim: which seeds are done, and what they gave."""

    claim: Claim
    scale: Scale
    numbers: list[int]
    folder: Path | None
    found: dict[int, Measured] = field(default_factory=dict)
    whole: Evidence | None = None
    error: LaminaError | None = None

    @property
    def left(self) -> list[int]:
        return [seed for seed in self.numbers if seed not in self.found]

    @property
    def path(self) -> Path | None:
        return self.folder and place(self.folder, self.scale, self.claim.name)

    @property
    def part(self) -> Path | None:
        """Where unfinished evidence lies, so that whole evidence is replaced by whole evidence alone."""
        return self.path and self.path.with_name(f".{self.claim.name}.part.json")

    def add(self, seed: int, measured: Measured, workers: Workers) -> None:
        """Take in a seed and write what there is."""
        self.found[seed] = measured
        if self.part:
            self.evidence(workers, sorted(self.found)).save(self.part)

    def finish(self, workers: Workers) -> Evidence:
        """The whole evidence, written; the unfinished goes unless it has other seeds."""
        if self.whole is not None:
            return self.whole
        whole = self.evidence(workers, self.numbers)
        if self.path and self.part:
            whole.save(self.path)
            if self.found.keys() <= set(self.numbers):
                self.part.unlink(missing_ok=True)
        return whole

    def require_no_more(self) -> None:
        """Refuse to replace evidence by such of fewer seeds."""
        old = _read(self.path) if self.path and self.path.is_file() else None
        if old is not None and len(old.seeds) > len(self.numbers):
            fewer = f"{self.path} has {len(old.seeds)} seeds, not {len(self.numbers)}"
            raise LaminaError(f"{fewer}: give another folder by --out")

    def go_on(self) -> None:
        """Take in the seeds that the files have, if the same code measured them on the same machine."""
        for path in (self.part, self.path):
            old = _read(path) if path and path.is_file() else None
            if old is None or old.fingerprint != self.claim.fingerprint or not _same_place(old.environment):
                continue
            if path == self.path and set(self.numbers) <= set(old.seeds):
                self.whole = old if old.seeds == self.numbers else None
            self.found |= _seeds(old)

    def evidence(self, workers: Workers, seeds: Sequence[int]) -> Evidence:
        """What these seeds say."""
        measured = [self.found[seed] for seed in seeds]
        targets = self.claim.targets_at(self.scale)
        arms = {name: _joined([m[name] for m in measured]) for name in measured[0]}
        verdict, findings = judge(targets, {name: arm["values"] for name, arm in arms.items()})
        facts = ("name", "paper", "says", "where", "data", "reported", "limits", "unequal", "fingerprint")
        return Evidence(
            **{fact: getattr(self.claim, fact) for fact in facts},
            scale=str(self.scale),
            seeds=list(seeds),
            arms=finite(arms),
            findings=finite([asdict(finding) for finding in findings]),
            verdict=verdict,
            seconds=round(sum(sum(arm["seconds"]) for arm in arms.values()), 2),
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            environment={"lamina": version("lamina"), **environment("cpu", workers)},
        )


def _same_place(old: Mapping[str, Any]) -> bool:
    """Whether numbers of that environment are numbers of this one."""
    here = {"lamina": version("lamina"), **environment("cpu", hire(1, 1))}
    return all(old.get(name) == here[name] for name in ("lamina", "torch", "numpy", "machine"))


def _read(path: Path) -> Evidence | None:
    """The evidence in a file; None where there is none to go on with."""
    try:
        return Evidence.load(path)
    except LaminaError:
        return None


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each seed gave as lists over the seeds; of equal networks one size is kept."""
    values = {metric: [part["values"][metric] for part in parts] for metric in parts[0]["values"]}
    sizes = [sorted(set(part["params"])) for part in parts]
    return {"values": values, "params": sizes, **{key: [part[key] for part in parts] for key in ("steps", "seconds")}}


def _seeds(evidence: Evidence) -> dict[int, Measured]:
    """`_joined` undone."""

    def one(arm: Mapping[str, Any], i: int) -> dict[str, Any]:
        values = {m: float("nan") if v[i] is None else v[i] for m, v in arm["values"].items()}
        return {"values": values, **{key: arm[key][i] for key in ("params", "steps", "seconds")}}

    return {seed: {name: one(arm, i) for name, arm in evidence.arms.items()} for i, seed in enumerate(evidence.seeds)}


def _measured(
    tasks: Sequence[tuple[str, int]], scale: Scale, workers: Workers
) -> Iterator[tuple[str, int, Measured | LaminaError]]:
    if workers.processes == 1:
        for name, seed in tasks:
            yield _task(name, seed, scale, None)
    else:
        parent = os.getpid() if workers.backend == LOKY else None
        yield from workers.results(delayed(_task)(name, seed, scale, parent) for name, seed in tasks)


def _task(name: str, seed: int, scale: Scale, parent: int | None) -> tuple[str, int, Measured | LaminaError]:
    if parent is not None:
        end_with(parent)
    try:
        return name, seed, measure(find(name), seed, scale)
    except LaminaError as error:
        return name, seed, error
    except Exception as error:  # a claim of somebody else's may fail in any way; the others go on
        return name, seed, LaminaError(f"{type(error).__name__}: {error}".splitlines()[0])


def measure(claim: Claim, seed: int, scale: Scale) -> Measured:
    """What one seed gives for the system and each baseline."""
    return {name: measure_arm(claim, arm, seed, scale) for name, arm in claim.arms().items()}


def measure_arm(claim: Claim, arm: Arm, seed: int, scale: Scale) -> dict[str, Any]:
    """What one seed gives for one arm, on one thread, torch's generator left as it was.

    Raises:
        LaminaError: the claim did not measure a metric of its targets.
    """
    with limited(1), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        start = time.process_time()
        values = {metric: float(value) for metric, value in claim.measure(arm, seed, scale).items()}
        seconds = round(time.process_time() - start, 3)
    missing = {t.metric for t in claim.targets_at(scale)} - values.keys()
    if missing:
        raise LaminaError(f"claim {claim.name!r} did not measure {', '.join(sorted(missing))} at scale {scale}")
    return {"values": values, "params": arm.params, "steps": int(arm.steps), "seconds": seconds}
