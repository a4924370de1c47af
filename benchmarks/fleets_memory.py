"""Peak memory of a fleet's training against what its tensors need by count, for `fleets.py`.

    python benchmarks/fleets_memory.py plain|judged

trains one fleet in this process and prints by how many bytes it grew; `measure` starts such processes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleets_contenders import members_of, recipe
from fleets_jobs import Job, digits, linear_sizes, mlp_job
from fleets_measure import ratio
from torch import nn

import lamina
import lamina.training.memory

STEPS = 10


def large() -> Job:
    """128 MLPs of 512-512 on digits, batch 128: 158 MB of weights."""
    return mlp_job(digits(), (512, 512), members=128, batch=128, epochs=1)


def train(job: Job, networks: list[nn.Module], kind: str) -> None:
    """``plain`` trains to the end; ``judged`` has a validation part, keeps the best weights and averages them."""
    asked = replace(recipe(job, STEPS), averaging=0.1 if kind == "judged" else 0.0)
    members = members_of(job, judged=job.batch if kind == "judged" else 0)
    lamina.fit(networks, job.table.x, job.table.y, members=members, recipe=asked)


def counted(job: Job, kind: str) -> int:
    r"""Bytes that the tensors of a fleet's training need.

    .. math:: 4 M \left(c P + B \left(f_0 + \sum_l f_l + \max_l f_l\right)\right)

    for M members of P parameters each, batches of B rows, f_0 inputs and f_l outputs of layer l, in float32. The c
    copies of the parameters are the weights, their gradient, Adam's two moments and the weights to go back to when a
    member diverges, and in a ``judged`` training the averaged weights too: 5 or 6. The batch and the outputs of all
    layers are kept for the backward pass; beside them stands the gradient of one layer's outputs, the largest.
    """
    sizes = linear_sizes(job.make(0))
    parameters = sum((inputs + 1) * outputs for inputs, outputs in sizes)
    outputs = [outputs for _, outputs in sizes]
    copies = {"plain": 5, "judged": 6}[kind]
    return 4 * job.members * (copies * parameters + job.batch * (sizes[0][0] + sum(outputs) + max(outputs)))


def resident(field: str) -> int:
    """Bytes of this process: ``VmRSS`` is what it holds, ``VmHWM`` the most it held (Linux alone).

    ``ru_maxrss`` would not do: a process inherits it from the one that started it.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def measure(kind: str, repeats: int) -> dict[str, Any]:
    """The ratio of what the training adds to a warm process at its peak to what it needs by count."""
    command = [sys.executable, __file__, kind]
    grown = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(repeats)]
    needed = counted(large(), kind)
    return {
        "ratios": {"peak over count": ratio(grown, [needed] * repeats, at_most=1.3)},
        "bytes": {"needed": needed, "grown": grown},
    }


def main() -> None:
    """Train a tiny fleet, so that everything is loaded, then the large one; print by how much the process grew."""
    lamina.training.memory.STACK = 10**12  # all 128 at once
    kind, job, tiny = sys.argv[1], large(), mlp_job(digits(), (8, 8), members=2, batch=128, epochs=1)
    train(tiny, tiny.networks(), kind)
    networks = job.networks()
    before = resident("VmRSS")
    train(job, networks, kind)
    print(resident("VmHWM") - before)


if __name__ == "__main__":
    main()
