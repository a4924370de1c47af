"""What compiling a fleet's training step brings: seconds until it runs, and its time against the step as it is.

    python benchmarks/compiling.py [--names mlp,kan] [--repeats 30]

Results in results/compiling.json; the constants of `lamina.training.compiling` come from here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from lamina.catalog import STANDARD
from lamina.networks.factory import create
from lamina.training.fleet import Fleet
from lamina.training.noise import Noise
from lamina.training.program import Program

RESULTS = Path(__file__).parent / "results" / "compiling.json"
SHAPES = ((32, 32, 16), (32, 256, 116), (1, 256, 64))  # members, rows, columns


def measure(name: str, members: int, rows: int, columns: int, repeats: int) -> dict[str, Any]:
    """Seconds of compiling, milliseconds of both steps, and the median of their ratios."""
    torch.compiler.reset()
    networks = [create(name, in_features=columns, out_features=2, params=20_000, seed=i) for i in range(members)]
    fleet = Fleet(networks)
    x, y = torch.randn(members, rows, columns), torch.randint(0, 2, (members, rows))
    noises = [Noise([(i,) for i in range(members)], fleet.device) for _ in range(2)]
    programs = [
        Program(fleet, fleet.parameters, x, y, None, noise, compile=on)
        for on, noise in zip((False, True), noises, strict=True)
    ]
    for noise in noises:
        noise.begin(0)
    start = time.perf_counter()
    programs[1](fleet.parameters, fleet.buffers, x, y, None)
    seconds = time.perf_counter() - start
    times: list[list[float]] = [[], []]
    for _ in range(repeats + 2):
        for program, found in zip(programs, times, strict=True):
            start = time.perf_counter()
            program(fleet.parameters, fleet.buffers, x, y, None)
            found.append(1e3 * (time.perf_counter() - start))
    plain, compiled = (found[2:] for found in times)
    return {
        "seconds of compiling": round(seconds, 1),
        "ms of a step": round(statistics.median(plain), 3),
        "ms compiled": round(statistics.median(compiled), 3),
        "ratio": round(statistics.median(c / p for c, p in zip(compiled, plain, strict=True)), 3),
        "bytes a second": round(sum(held(programs[0])) / (statistics.median(plain) / 1e3)),
    }


def held(program: Any) -> list[int]:
    """Bytes of each result of a step."""
    values = [node.meta.get("val") for node in program.run.graph.nodes if node.op == "call_function"]
    return [v.numel() * v.element_size() for v in values if isinstance(v, torch.Tensor)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", default=",".join(STANDARD))
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"torch": torch.__version__, "threads": 1}
    if RESULTS.exists() and (kept := json.loads(RESULTS.read_text()))["torch"] == torch.__version__:
        found = kept
    for name in asked.names.split(","):
        for shape in SHAPES:
            key = "{} members, {} rows, {} columns".format(*shape)
            found.setdefault(name, {})[key] = measure(name, *shape, asked.repeats)
            print(name, key, found[name][key], flush=True)
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
