"""How long the command line takes to say something, and what ``import lamina`` adds to ``import torch``.

    python benchmarks/startup.py

Processor seconds of whole processes, user and system, in turn; medians go to ``benchmarks/results/startup.json``.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import subprocess
import sys
from pathlib import Path

RUNS = 9
COMMANDS = {
    "empty interpreter": ["-c", "pass"],
    "lamina --help": ["-m", "lamina", "--help"],
    "lamina list": ["-m", "lamina", "list"],
    "import torch": ["-c", "import torch"],
    "import torch, lamina": ["-c", "import torch, lamina"],
    "import torch, lamina.compare": ["-c", "import torch, lamina; lamina.compare"],
}


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure every command in turn, `RUNS` times, and write the medians."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, arguments in COMMANDS.items():
            seconds[name].append(cpu_seconds(arguments))
    medians = {name: round(statistics.median(values[1:]), 3) for name, values in seconds.items()}
    result = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "runs": RUNS,
        "cpu_seconds": medians,
        "help_over_empty": round(medians["lamina --help"] - medians["empty interpreter"], 3),
        "list_over_empty": round(medians["lamina list"] - medians["empty interpreter"], 3),
        "import_over_torch": round(medians["import torch, lamina"] - medians["import torch"], 3),
    }
    path = Path(__file__).parent / "results" / "startup.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
