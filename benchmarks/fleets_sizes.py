"""The time of a step for each member, by how many are trained at once, for `fleets.py`."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import numpy as np
import torch
from fleets_measure import ratio

import lamina
from lamina.study.workers import limited
from lamina.training import Member, Recipe, Setting
from lamina.training.fleet import Fleet
from lamina.training.run import Run

SIZES = (1, 2, 4, 8, 16, 32, 64)
STEPS = 8


def sizes(name: str, features: int, batch: int, params: int, repeats: int) -> dict[str, Any]:
    """Milliseconds of a step for each member on one thread, sizes in turn, and how many times that of one alone.

    A step is AdamW with clipping and averaging, as in a comparison, on normal columns and two classes; of each repeat
    the fastest of 8 steps counts, after two that only warm up.
    """
    rows = 20 * batch
    x = torch.randn(rows, features, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    make = partial(lamina.create, name, in_features=features, out_features=2, params=params, dropout=0.1)
    recipe = Recipe(steps=1_000, batch_size=batch)
    times: dict[int, list[float]] = {size: [] for size in SIZES}
    with limited(1):
        runs = {}
        for size in SIZES:
            members = [Member(Setting(dropout=0.1), seed, np.arange(rows)) for seed in range(size)]
            runs[size] = Run(Fleet([make(seed=i) for i in range(size)]), members, x, y, None, recipe, 0, None)
            _fastest(runs[size], 2)
        for _ in range(repeats):
            for size, run in runs.items():
                times[size].append(_fastest(run, STEPS) / size)
    alone = times[1]
    return {
        "ratios": {f"one over {size}": ratio(alone, times[size], at_least=1) for size in SIZES[1:]},
        "member_milliseconds": {size: round(1e3 * statistics.median(found), 4) for size, found in times.items()},
        "shape": {"features": features, "batch": batch, "parameters": params},
    }


def _fastest(run: Run, steps: int) -> float:
    """Seconds of the fastest of several steps of the whole stack."""
    found = []
    for _ in range(steps):
        start = time.perf_counter()
        run.update()
        found.append(time.perf_counter() - start)
    return min(found)
