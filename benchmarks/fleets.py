"""How much faster a fleet trains than its peers, how far its step is from its matrix products, what memory it needs.

    python benchmarks/fleets.py [--only NAME,NAME] [--repeats N] [--out FILE]

Everything is measured on the processor, with nothing else running. A fleet is one call of `lamina.fit`, set-up
included; its peers train the same networks one by one: the same batch size, epochs, learning rate and, but for
scikit-learn's, initial weights. All run in turn, A, B, C, A, B, C, after a round that only warms up. PyTorch's
contenders are timed with one thread and with two, and the better of each repeat counts, for the fleet and for its
peers. Reported are the median, the smallest and the largest ratio of the repeats, of seconds per network: where a peer
would take too long it trains the fleet's first networks alone (``networks`` in the results says how many).

- ``digits-32``: 32 MLPs of 64-64 on digits, against the plain loop over tensors (``loop``, and ``loop, fused Adam``),
  the same loop with a `DataLoader`, and scikit-learn's MLPs in two processes.
- ``digits-128``: 128 MLPs of 32-32, batch 32, against the plain loop on the first 16 of them.
- ``arithmetic-8``: 8 MLPs of 256-256 on 20,000 rows by 20 columns, at batches of 128 and of 256.
- ``step``: a step of these three fleets against their matrix products, without and apart from the set-up.
- ``layers``: networks of the catalogue, 32 of width 32 on digits (the loop on the first 4) and 8 of 80,000
  parameters on the large table (the loop on the first 2).
- ``sizes``: the time of a step for each member when 1 to 64 are trained at once, of every network for tables.
- ``memory``: the peak of a large fleet's training in a process of its own against its tensors by count (Linux alone).

Results go to ``benchmarks/results/fleets.json`` case by case, each with its machine, its date and every raw time;
``--only`` replaces those of its lines alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fleets_memory
from fleets_contenders import fleet, loaded, loop, sklearn_mlps
from fleets_jobs import SPLIT_SEED, TABLE_SEED, Job, arithmetic_8, binary, digits, digits_32, digits_128, layer_job
from fleets_measure import THREADS, Contender, race
from fleets_sizes import sizes
from fleets_step import step

from lamina.catalog import table_networks

RESULTS = Path(__file__).parent / "results" / "fleets.json"
LAYERS = ("kan", "fan", "bilinear", "resnet", "moe")
Cases = Iterator[tuple[str, dict[str, Any]]]


def loops(job: Job, members: int | None = None) -> dict[str, Contender]:
    """The fleet, and the plain loop on the first `members` networks."""
    return {"fleet": Contender(partial(fleet, job)), "loop": Contender(partial(loop, job, members))}


def fused(job: Job, members: int | None = None) -> dict[str, Contender]:
    """The plain loop with PyTorch's fused Adam, which nobody gets without asking for it."""
    return {"loop, fused Adam": Contender(partial(loop, job, members, fused=True))}


def digits_32_line(repeats: int) -> Cases:
    """32 small networks against all peers."""
    job = digits_32()
    others = {
        "DataLoader": Contender(partial(loop, job, 16, feed=loaded)),
        "scikit-learn": Contender(partial(sklearn_mlps, job), threads=(1,)),
    }
    contenders = loops(job) | fused(job, 16) | others
    yield "digits-32", race(contenders, repeats, {"loop": 4, "DataLoader": 8, "scikit-learn": 1.7})


def digits_128_line(repeats: int) -> Cases:
    """128 narrow networks with small batches."""
    job = digits_128()
    yield "digits-128", race(loops(job, 16) | fused(job, 8), repeats, {"loop": 8})


def arithmetic_8_line(repeats: int) -> Cases:
    """8 networks whose time is arithmetic."""
    for batch in (128, 256):
        job = arithmetic_8(batch)
        yield f"arithmetic-8, batch {batch}", race(loops(job) | fused(job, 4), repeats, {"loop": 2})


def step_line(repeats: int) -> Cases:
    """The three fleets' steps."""
    for name, job in (("digits-32", digits_32()), ("digits-128", digits_128()), ("arithmetic-8", arithmetic_8())):
        yield f"step, {name}", step(job, repeats)


def layers_line(repeats: int) -> Cases:
    """Every network at both sizes."""
    for name in LAYERS:
        small = layer_job(name, digits(), width=32, members=32, batch=128, epochs=10)
        large = layer_job(name, binary(), params=80_000, members=8, batch=128, epochs=1)
        for size, job, measured, target in (("small", small, 4, 2), ("large", large, 2, 1)):
            yield f"layers, {name}, {size}", race(loops(job, measured), repeats, {"loop": target})


def memory_line(repeats: int) -> Cases:
    """A training to the end, and one with averaged and best weights."""
    for kind in ("plain", "judged"):
        yield f"memory, {kind}", fleets_memory.measure(kind, repeats)


def sizes_line(repeats: int) -> Cases:
    """Every network for tables, at a small shape and at that of a wide table."""
    for name in table_networks():
        for size, shape in (("small", (16, 32, 5_000)), ("wide", (116, 256, 20_000))):
            yield f"sizes, {name}, {size}", sizes(name, *shape, repeats)


LINES: dict[str, Callable[[int], Cases]] = {
    "digits-32": digits_32_line,
    "digits-128": digits_128_line,
    "arithmetic-8": arithmetic_8_line,
    "step": step_line,
    "layers": layers_line,
    "memory": memory_line,
    "sizes": sizes_line,
}


def circumstances(repeats: int) -> dict[str, Any]:
    """What a case was measured on, and how."""
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", cpuinfo.read_text(), flags=re.M) if cpuinfo.exists() else []
    return {
        "machine": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "scikit-learn")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "repeats": repeats,
        "threads": f"PyTorch's: {' and '.join(map(str, THREADS))}, the better counts; scikit-learn's: 2 processes of 1",
        "seeds": {"networks": "0, 1, 2 ...", "split": SPLIT_SEED, "table": TABLE_SEED},
    }


def main() -> None:
    """Measure the lines that are asked for and write every case as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(LINES), help="names of lines, separated by commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    names = asked.only.split(",")
    if wrong := set(names) - set(LINES):
        parser.error(f"no line is called {', '.join(sorted(wrong))}; there are {', '.join(LINES)}")
    cases = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for name in names:
        for case, result in LINES[name](asked.repeats):
            cases[case] = {**circumstances(asked.repeats), **result}
            asked.out.write_text(json.dumps(cases, indent=1) + "\n")
            for peer, found in result["ratios"].items():
                print(f"{case:24} {peer:20}", *(f"{k} {v}" for k, v in found.items()), flush=True)


if __name__ == "__main__":
    main()
