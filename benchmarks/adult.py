"""A whole comparison with fleets against the same comparison with fleets of one.

    python benchmarks/adult.py DATA [--splits 5]

Two processes with one thread each run ``lamina.compare`` on ``adult`` (48,842 rows) at the same time, so that both have
the same machine: 8 networks, 8 settings, 1 seed, no rivals. One trains as many members at once as the memory holds, the
other one at a time; everything else is the same code, so that it is the stack alone that is measured. Seconds (by the
clock, and of the processor, which count where the machine has other work), those of each network, scores and verdicts
go to ``benchmarks/results/adult.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib import import_module
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "adult.json"
WAYS = ("fleets", "fleets of one")


def compare(data: Path, splits: int, way: str) -> dict:
    """Run the comparison in this process."""
    import torch

    import lamina

    torch.set_num_threads(1)
    if way == "fleets of one":
        import_module("lamina.training.fit").members_at_once = lambda *_: 1
    facts = next(t for t in json.loads((data / "tables.json").read_text()) if t["name"] == "adult")
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        study = lamina.compare(
            data / facts["file"],
            facts["target"],
            ignore=facts["ignore"],
            rivals="none",
            splits=splits,
            seeds=1,
            settings=8,
            jobs=1,
            out=f"{folder}/study",
        )
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    networks = {row["name"]: row for row in study.summary["networks"]}
    return {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "fit_seconds": {name: round(row["fit_seconds"], 2) for name, row in networks.items()},
        "score": {name: round(row["mean"], 4) for name, row in networks.items()},
        "verdict": study.verdict.sentence,
        "environment": study.summary["environment"],
    }


def main() -> None:
    """Start both processes, wait for both and write what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help="run one of the two in this process and print its result")
    asked = parser.parse_args()
    if asked.way:
        print(json.dumps(compare(asked.data, asked.splits, asked.way)))
        return
    command = [sys.executable, __file__, str(asked.data), f"--splits={asked.splits}"]
    running = {way: subprocess.Popen([*command, "--way", way], stdout=subprocess.PIPE, text=True) for way in WAYS}
    found = {way: json.loads(process.communicate()[0]) for way, process in running.items()}
    fast, slow = found.values()
    environment, _ = fast.pop("environment"), slow.pop("environment")
    result = {
        "table": "adult",
        "asked": f"8 networks, 8 settings, {asked.splits} splits, 1 seed, 20,000 parameters, both ways at once",
        "date": str(date.today()),
        "environment": environment,
        "ratio": round(slow["seconds"] / fast["seconds"], 2),
        "cpu_ratio": round(slow["cpu_seconds"] / fast["cpu_seconds"], 2),
        "ratios": {n: round(slow["fit_seconds"][n] / s, 2) for n, s in fast["fit_seconds"].items()},
        "same_verdict": fast["verdict"] == slow["verdict"],
        **found,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
