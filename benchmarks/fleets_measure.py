"""How `fleets.py` measures: contenders in turn, each at its best number of threads, ratios with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fleets_contenders import Run

THREADS = (1, 2)


@dataclass(frozen=True)
class Contender:
    """Something to be timed, at every number of PyTorch's threads that is named."""

    run: Callable[[], Run]
    threads: Sequence[int] = THREADS


Runs = dict[str, list[dict[int, Run]]]  # by contender, then one for every repeat, by number of threads


def interleaved(contenders: Mapping[str, Contender], repeats: int) -> Runs:
    """Every contender in turn, then all of them again; the first round warms up and is left out."""
    runs: Runs = {name: [] for name in contenders}
    for _ in range(repeats + 1):
        for name, contender in contenders.items():
            runs[name].append({})
            for threads in contender.threads:
                torch.set_num_threads(threads)
                runs[name][-1][threads] = contender.run()
    return {name: rounds[1:] for name, rounds in runs.items()}


def seconds(runs: Runs) -> dict[str, dict[str, list[float]]]:
    """Every wall time as it was measured: by contender, then by number of threads, in the order of the repeats."""
    return {
        name: {str(threads): [round(r[threads].seconds, 5) for r in rounds] for threads in rounds[0]}
        for name, rounds in runs.items()
    }


def ratio(
    above: Sequence[float], below: Sequence[float], *, at_least: float | None = None, at_most: float | None = None
) -> dict[str, Any]:
    """The median, the smallest and the largest of ``above / below``, and whether the median meets its target."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    median = statistics.median(ratios)
    found = {"median": median, "smallest": min(ratios), "largest": max(ratios)}
    found = {name: round(value, 3) for name, value in found.items()}
    if at_least is not None:
        found |= {"target": f"at least {at_least:g}", "met": median >= at_least}
    if at_most is not None:
        found |= {"target": f"at most {at_most:g}", "met": median <= at_most}
    return found


def _accuracy(run: Run) -> tuple[float, float]:
    """Mean test accuracy over the networks and its standard error."""
    return statistics.fmean(run.accuracies), statistics.stdev(run.accuracies) / math.sqrt(len(run.accuracies))


def _compared(run: Run, fleet: Run) -> dict[str, Any]:
    """Accuracy of a contender, and its difference to the fleet's in standard errors of that difference."""
    (mean, error), (fleet_mean, fleet_error) = _accuracy(run), _accuracy(fleet)
    both = math.hypot(error, fleet_error)
    apart = abs(mean - fleet_mean) / both if both else 0.0
    return {
        "networks": len(run.accuracies),
        "mean": round(mean, 4),
        "standard_error": round(error, 4),
        "standard_errors_from_fleet": round(apart, 2),
        "equal_within_one": apart <= 1,
    }


def race(contenders: Mapping[str, Contender], repeats: int, targets: Mapping[str, float]) -> dict[str, Any]:
    """How many times faster ``fleet`` is than each of the other contenders, network by network.

    Of every repeat the better number of threads counts, the fleet's and the peer's each for itself. Accuracies are
    those of the last repeat, at the first number of threads.
    """
    runs = interleaved(contenders, repeats)
    best = {name: [min(r.per_network for r in one.values()) for one in rounds] for name, rounds in runs.items()}
    last = {name: next(iter(rounds[-1].values())) for name, rounds in runs.items()}
    return {
        "ratios": {
            name: ratio(best[name], best["fleet"], at_least=targets.get(name)) for name in runs if name != "fleet"
        },
        "accuracy": {name: _compared(run, last["fleet"]) for name, run in last.items()},
        "seconds": seconds(runs),
    }
