"""How long ``make demo`` takes once everything is installed.

    python benchmarks/demo.py

Wall seconds of the whole process, three times; the median goes to ``benchmarks/results/demo.json``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3
COMMAND = ["compare", "breast-cancer", "--splits", "3", "--seeds", "2", "--settings", "4"]


def main() -> None:
    """Run the demo's comparison, each time in an empty folder."""
    seconds, summary = [], {}
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            command = [sys.executable, "-m", "lamina", *COMMAND, "--json", f"--out={folder}/study"]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds.append(round(time.perf_counter() - start, 2))
            summary = json.loads(done.stdout)
    result = {
        "command": f"lamina {' '.join(COMMAND)}",
        "machine": f"{summary['environment']['machine']}, {os.cpu_count()} cores",
        "torch": summary["environment"]["torch"],
        "networks": len(summary["networks"]),
        "wall_seconds": seconds,
        "median": statistics.median(seconds),
    }
    path = Path(__file__).parent / "results" / "demo.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
