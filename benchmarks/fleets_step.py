"""A fleet's whole training step against its bare matrix products, for `fleets.py`."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import torch
from fleets_contenders import Run, fleet
from fleets_jobs import Job, linear_sizes
from fleets_measure import THREADS, Contender, interleaved, ratio, seconds


@torch.no_grad()
def products(job: Job, steps: int) -> Run:
    """The matrix products of `steps` training steps of a fleet of MLPs, and nothing else.

    For a layer of ``i`` inputs and ``o`` outputs, over ``m`` members and ``b`` rows: (m, b, i) by (m, i, o) forward,
    (m, o, b) by (m, b, i) for the weights' gradient and, but for the first layer, whose inputs need no gradient,
    (m, b, o) by (m, o, i) for the inputs' gradient. Weights lie as `torch.nn.Linear` has them. Results go into
    tensors that were made before.
    """
    m, b = job.members, job.batch
    calls = []
    for place, (i, o) in enumerate(linear_sizes(job.make(0))):
        x, weight, gradient = torch.randn(m, b, i), torch.randn(m, o, i), torch.randn(m, b, o)
        calls.append(partial(torch.bmm, x, weight.mT, out=torch.empty(m, b, o)))
        calls.append(partial(torch.bmm, gradient.mT, x, out=torch.empty(m, o, i)))
        if place > 0:
            calls.append(partial(torch.bmm, gradient, weight, out=torch.empty(m, b, i)))
    start = time.perf_counter()
    for _ in range(steps):
        for call in calls:
            call()
    return Run(time.perf_counter() - start, [])


def step(job: Job, repeats: int) -> dict[str, Any]:
    """Milliseconds of a fleet's step and of its products, their ratio, and the seconds of setting a fleet up.

    A step is the difference of a training of all epochs and one of a single epoch, over the difference of their
    steps; what remains of the shorter training is the set-up. Both at their best number of threads.
    """
    short, long = job.epoch_steps, job.epochs * job.epoch_steps
    contenders = {
        "fleet, one epoch": Contender(partial(fleet, job, short)),
        "fleet, all epochs": Contender(partial(fleet, job, long)),
        "products": Contender(partial(products, job, long)),
    }
    runs = interleaved(contenders, repeats)
    steps, setups, bare = [], [], []
    for one, every, product in zip(*runs.values(), strict=True):
        costs = {n: (every[n].seconds - one[n].seconds) / (long - short) for n in THREADS}
        best = min(THREADS, key=costs.__getitem__)
        steps.append(costs[best])
        setups.append(one[best].seconds - short * costs[best])
        bare.append(min(run.seconds for run in product.values()) / long)
    return {
        "ratios": {"step over products": ratio(steps, bare, at_most=2)},
        "step_milliseconds": round(1e3 * statistics.median(steps), 4),
        "products_milliseconds": round(1e3 * statistics.median(bare), 4),
        "setup_seconds": round(statistics.median(setups), 4),
        "steps": {"one epoch": short, "all epochs": long},
        "seconds": seconds(runs),
    }
