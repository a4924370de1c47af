"""What racing saves, and whether it chooses another setting, on 8 real tables.

    python benchmarks/racing.py DATA

DATA is a folder with ``tables.json`` and the tables, of which at most 2,000 rows are drawn. Three networks, each with
the 8 settings of a comparison and 2 seeds on one split, are trained twice by one thread: all to the end, and racing.
Which of the two comes first alternates.

Steps are those of single members, and exact; seconds are the processor's. What is chosen without and with racing is
judged by the same full trainings: the mean over the seeds of their validation loss and of their test score. `replay`
holds the race on the full trainings' validation losses, which also shows what other rungs would have done; for the
rungs that are built in, the real race has to come to the same. Results go to ``benchmarks/results/racing.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lamina.data.splits import outer_splits
from lamina.data.task import make_task
from lamina.fold import Fold
from lamina.model import Blueprint, train_members
from lamina.study.compare import sample
from lamina.study.summary import environment
from lamina.study.workers import Workers
from lamina.training import Fleet, Recipe, Trace, draw_settings
from lamina.training.racing import RUNGS, fallen_behind, rung_between

RESULTS = Path(__file__).parent / "results" / "racing.json"
TABLES = ("abalone", "adult", "auto_mpg", "california_housing", "credit_g", "letter", "vehicle", "wine_quality")
NETWORKS = ("mlp", "resnet", "kan")
ROWS, PARAMS, SETTINGS, SEEDS = 2_000, 20_000, 8, 2
OTHER_RUNGS = ((1 / 4, 1 / 2), (0.3, 0.6), (0.4, 0.7))


@dataclass(frozen=True)
class Search:
    """All trainings of one network on one fold: setting by setting, `SEEDS` of each.

    Attributes:
        steps: planned for a training.
        seconds: of the processor that all of them took.
    """

    fleet: Fleet
    traces: list[Trace]
    steps: int
    seconds: float

    @property
    def member_steps(self) -> int:
        """Steps that were made, of all members together."""
        return sum(trace.steps for trace in self.traces)

    @property
    def losses(self) -> np.ndarray:
        """(settings,) mean over the seeds of the lowest validation loss."""
        return np.array([trace.loss for trace in self.traces]).reshape(-1, SEEDS).mean(1)


def search(fold: Fold, network: str, racing: bool) -> Search:
    """Train one network with all settings and seeds."""
    blueprint = Blueprint.sized(network, fold.encoder, fold.head, fold.params)
    recipe = Recipe(racing=racing)
    start = time.process_time()
    fleet, traces = train_members(fold, blueprint, draw_settings(SETTINGS), recipe=recipe, device="cpu", memory="4GB")
    seconds = time.process_time() - start
    return Search(fleet, traces, recipe.steps_for(min(len(train) for train, _ in fold.inner)), seconds)


def replay(full: Search, rungs: Sequence[float]) -> tuple[int, int]:
    """The setting that a race would have chosen, and the steps that all members would have made."""
    every = max(1, full.steps // Recipe().checks)
    made = np.array([trace.steps for trace in full.traces])
    racing = list(range(len(made)))
    for look, step in enumerate(range(every, full.steps, every), start=1):
        if rung_between(step - every, step, full.steps, rungs):
            losses = [min(full.traces[i].validation[:look], default=np.inf) for i in racing]
            stopped = {racing[place] for place in fallen_behind([i // SEEDS for i in racing], losses)}
            racing = [i for i in racing if i not in stopped]
            made[list(stopped)] = np.minimum(made[list(stopped)], step)
    left = sorted({i // SEEDS for i in racing})
    return left[int(full.losses[left].argmin())], int(made.sum())


def score(fold: Fold, full: Search, setting: int) -> float:
    """The mean over the seeds of the score of one setting on the test part."""
    rows, members = fold.split.test, range(setting * SEEDS, (setting + 1) * SEEDS)
    predictions = fold.head.decode(full.fleet.select(members).predict(torch.from_numpy(fold.x[rows])))
    return float(np.mean([fold.task.metric(fold.task.y[rows], p) for p in predictions]))


def outcome(fold: Fold, full: Search, setting: int, steps: int) -> dict[str, Any]:
    """What the choice of `setting` after so many steps means, beside the choice after the full trainings."""
    best = int(full.losses.argmin())
    better = 1 if fold.task.metric.higher_is_better else -1
    return {
        "steps": steps,
        "saved": 1 - steps / full.member_steps,
        "chosen": setting,
        "same": setting == best,
        "validation_higher_by": float(full.losses[setting] / full.losses[best] - 1),
        "test_better_by": better * (score(fold, full, setting) - score(fold, full, best)) + 0.0,
    }


def measure(fold: Fold, network: str, full_first: bool) -> dict[str, Any]:
    """One network on one table."""
    found = {racing: search(fold, network, racing) for racing in (not full_first, full_first)}
    full, raced = found[False], found[True]
    best = int(full.losses.argmin())
    chosen, steps = int(raced.losses.argmin()), raced.member_steps
    return {
        "table": fold.task.name,
        "network": network,
        "rows": fold.task.rows,
        "metric": fold.task.metric.name,
        "steps_planned": full.steps * len(full.traces),
        "full": {
            "steps": full.member_steps,
            "seconds": round(full.seconds, 2),
            "chosen": best,
            "validation": float(full.losses[best]),
            "test": score(fold, full, best),
        },
        "raced": {"seconds": round(raced.seconds, 2), **outcome(fold, full, chosen, steps)},
        "agrees_with_its_replay": replay(full, RUNGS) == (chosen, steps),
        "replayed": {_name(rungs): outcome(fold, full, *replay(full, rungs)) for rungs in OTHER_RUNGS},
    }


def summary(outcomes: Sequence[dict[str, Any]], full: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All outcomes of one choice of rungs in a few numbers."""
    higher = [o["validation_higher_by"] for o in outcomes]
    return {
        "steps_saved": 1 - sum(o["steps"] for o in outcomes) / sum(f["steps"] for f in full),
        "same_setting": f"{sum(o['same'] for o in outcomes)} of {len(outcomes)}",
        "validation_higher_by_mean": float(np.mean(higher)),
        "validation_higher_by_most": max(higher),
        "test_better": sum(o["test_better_by"] > 0 for o in outcomes),
        "test_worse": sum(o["test_better_by"] < 0 for o in outcomes),
    }


def _name(rungs: Sequence[float]) -> str:
    return ", ".join(f"{rung:.3g}" for rung in rungs)


def main() -> None:
    """Measure all tables and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    if not (data / "tables.json").is_file():
        sys.exit(f"no tables.json in {data}: this benchmark needs the real tables")
    tables = {t["name"]: t for t in json.loads((data / "tables.json").read_text(encoding="utf-8"))}
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in TABLES:
        facts = tables[name]
        task = sample(make_task(data / facts["file"], facts["target"], ignore=facts["ignore"]), ROWS)
        fold = Fold(task, outer_splits(task, 1)[0], SEEDS, PARAMS)
        if not rows:
            search(fold, NETWORKS[0], racing=True)  # the first training of a process also loads what PyTorch needs
        for network in NETWORKS:
            rows.append(measure(fold, network, full_first=len(rows) % 2 == 0))
            print(f"{name:20} {network:8} {rows[-1]['full']} {rows[-1]['raced']}", file=sys.stderr, flush=True)
    full, raced = [row["full"] for row in rows], [row["raced"] for row in rows]
    ran = environment("cpu", Workers("this process", processes=1, threads=1, cores=os.cpu_count() or 1))
    result = {
        "machine": f"{ran['machine']}, {ran['cores']} cores, of which one thread was used",
        "torch": ran["torch"],
        "note": "other work ran on the machine: seconds, of the processor, are indicative; steps are exact",
        "networks": NETWORKS,
        "settings": SETTINGS,
        "seeds": SEEDS,
        "rungs": _name(RUNGS),
        "racing": {
            **summary(raced, full),
            "seconds_saved": 1 - sum(r["seconds"] for r in raced) / sum(f["seconds"] for f in full),
            "ratio_of_seconds_median": float(
                np.median([r["seconds"] / f["seconds"] for r, f in zip(raced, full, strict=True)])
            ),
            "agrees_with_its_replay": f"{sum(row['agrees_with_its_replay'] for row in rows)} of {len(rows)}",
        },
        "other_rungs": {
            _name(rungs): summary([row["replayed"][_name(rungs)] for row in rows], full) for rungs in OTHER_RUNGS
        },
        "rows": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(_rounded(result), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    """The value with four significant digits for every fraction, at any depth."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
