"""From the trials of a study to its summary: the one dictionary that the leaderboard, the report and JSON show."""

from __future__ import annotations

import os
import platform
import shlex
from collections import Counter
from importlib.metadata import version
from typing import Any

import numpy as np

from lamina import catalog
from lamina.data.task import Task
from lamina.files import finite
from lamina.metrics import Metric
from lamina.study import rivals
from lamina.study.question import Job, Question
from lamina.study.statistics import interval
from lamina.study.store import Outcome, Store
from lamina.study.verdict import Entry, judge
from lamina.study.workers import Workers
from lamina.training import choose_device

TEST_FRACTION = 0.2
RACED = (
    "settings that fell behind in their validation loss were stopped early (--racing): their losses and the mean time "
    "of a training are not those of full trainings; the chosen settings, which alone are scored, were not stopped"
)


def summarise(
    task: Task, question: Question, store: Store, *, refused: dict[str, str], device: str, workers: Workers
) -> dict[str, Any]:
    """The summary of what is done: over the splits that every system has finished.

    Args:
        refused: networks that cannot be built for this task and budget, and why.
        device: as asked; the summary says which it was.
        workers: who computed the jobs, the last ones where the study was resumed.

    Returns:
        The dictionary of ``summary.json``; its ``networks`` is empty as long as no split is whole.
    """
    outcomes, failures = store.outcomes(), store.failures()
    errors = {**refused, **{job.system: message for job, message in failures.items()}}
    systems = [s for s in (*question.rivals, *question.networks) if s not in errors]
    whole = [k for k in range(question.splits) if all(Job(s, k) in outcomes for s in systems)]
    rows = {s: _row(s, [outcomes[Job(s, k)] for k in whole], task.metric) for s in systems} if whole else {}
    networks = [rows[s] for s in question.networks if s in rows]
    others = [rows[s] for s in question.rivals if s in rows]
    rope = task.metric.rope(rows["constant"]["mean"] if "constant" in rows else _spread(task))
    test_rows = task.rows // 5
    entries = [
        Entry(r["name"], r["scores"], r["params"], r["fit_seconds"], rival=r in others) for r in (*networks, *others)
    ]
    verdict = (
        judge(
            entries,
            metric=question.metric,
            higher_is_better=task.metric.higher_is_better,
            rope=rope,
            splits=len(whole),
            seeds=question.seeds,
            test_rows=test_rows,
        ).to_dict()
        if whole
        else None
    )
    trials = [t for o in outcomes.values() for t in o.trials]
    summary = {
        "lamina": version("lamina"),
        "data": {
            "name": question.data,
            "rows": question.rows,
            "features": len(task.schema.columns),
            "target": question.target,
            "fingerprint": question.fingerprint,
        },
        "task": question.task,
        "metric": question.metric,
        "higher_is_better": task.metric.higher_is_better,
        "rows": question.rows,
        "params": question.params,
        "splits": len(whole),
        "seeds": question.seeds,
        "n_settings": question.settings,
        "steps": question.steps or None,
        "racing": question.racing,
        "test_fraction": TEST_FRACTION,
        "rope": rope,
        "networks": networks,
        "rivals": others,
        "pick": _pick(question, outcomes, whole, networks, task.metric),
        "verdict": verdict,
        "columns": [
            {"name": c.name, "kind": c.kind, "used": c.used, "treatment": c.treatment, "missing": c.missing}
            for c in task.schema.columns
        ],
        "target": task.target.to_dict(),
        "warnings": [*task.warnings, *([RACED] if question.racing else [])],
        "undone": [f"{j.system} on split {j.split + 1}" for j, s in store.states().items() if s in ("open", "running")],
        "errors": [{"network": name, "message": message} for name, message in errors.items()],
        "environment": environment(device, workers),
        "seconds": sum(t.seconds for t in trials),
        "command": _command(question),
    }
    return finite(summary)


def _command(question: Question) -> str | None:
    """A command that asks the same question; None where the data were a frame."""
    if not question.source:
        return None
    names = ("target", "task", "metric", "params", "splits", "seeds", "settings")
    options = {name: getattr(question, name) for name in names}
    options |= {"networks": ",".join(question.networks), "rivals": ",".join(question.rivals) or "none"}
    options |= {"steps": question.steps} if question.steps else {}
    options |= {"ignore": ",".join(question.ignore)} if question.ignore else {}
    flags = [f"--{name}" for name in ("quick", "racing") if getattr(question, name)]
    return shlex.join(["lamina", "compare", question.source, *(f"--{k}={v}" for k, v in options.items()), *flags])


def _row(system: str, outcomes: list[Outcome], metric: Metric) -> dict[str, Any]:
    """One network's or rival's row, from its outcomes split by split."""
    chosen = [[t for t in o.trials if t.setting == o.chosen] for o in outcomes]
    scores = np.array([[t.score for t in split] for split in chosen], dtype=float)
    mean, low, high = _interval(scores.mean(1), metric)
    settings = outcomes[0].settings
    votes = Counter(o.chosen for o in outcomes)
    losses = np.array([[t.validation for t in o.trials] for o in outcomes], dtype=float)
    losses = losses.reshape(len(outcomes), len(settings), -1)
    facts = catalog.systems()[system] if system in catalog.systems() else rivals.rival(system)
    return {
        "name": system,
        "summary": facts.summary,
        "paper": facts.paper,
        "params": outcomes[0].params,
        "flops": outcomes[0].flops,
        "setting": settings[max(votes, key=lambda i: (votes[i], -i))],
        "scores": scores.ravel().tolist(),
        "mean": mean,
        "low": low,
        "high": high,
        "ensemble": [o.ensemble for o in outcomes],
        "validation": [float(losses[k, o.chosen].mean()) for k, o in enumerate(outcomes)],
        "fit_seconds": float(np.mean([t.seconds for o in outcomes for t in o.trials])),
        "diverged": sum(t.diverged for o in outcomes for t in o.trials),
        "settings": [
            {
                "setting": setting,
                "validation": float(losses[:, i].mean()),
                "chosen": votes[i],
            }
            for i, setting in enumerate(settings)
        ],
        "curves": [
            {"split": k, "seed": t.seed, **t.curve}
            for k, split in enumerate(chosen)
            for t in split
            if t.curve.get("validation")
        ],
    }


def _interval(scores: np.ndarray, metric: Metric) -> tuple[float, float, float]:
    """Mean and 95 % interval of scores by split; few splits have wide intervals, which end where the metric does."""
    mean, low, high = interval(scores, TEST_FRACTION)
    return mean, max(low, metric.bounds[0]), min(high, metric.bounds[1])


def _pick(
    question: Question, outcomes: dict[Job, Outcome], whole: list[int], networks: list[dict], metric: Metric
) -> dict[str, Any] | None:
    """What somebody gets who lets the validation parts choose the network, the setting and the stopping point, and
    averages the seeds: one test score per split."""
    if not whole or not networks:
        return None
    losses = np.array([n["validation"] for n in networks])
    best = np.where(np.isfinite(losses), losses, np.inf).argmin(0)
    choices = [networks[i]["name"] for i in best]
    scores = [outcomes[Job(name, k)].ensemble for name, k in zip(choices, whole, strict=True)]
    mean, low, high = _interval(np.array(scores), metric)
    return {"choices": choices, "scores": scores, "mean": mean, "low": low, "high": high}


def _spread(task: Task) -> float:
    return 1.0 if task.target.classes else float(np.std(task.y))


def environment(device: str, workers: Workers) -> dict[str, Any]:
    """What a study ran on."""
    packages = {name: version(name) for name in ("torch", "scikit-learn", "numpy", "polars")}
    return {
        "python": platform.python_version(),
        **packages,
        "machine": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "backend": workers.backend,
        "processes": workers.processes,
        "threads": workers.threads,
        "device": str(choose_device(device)),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
