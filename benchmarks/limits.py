"""How closely `--time` and `--memory` are kept.

    python benchmarks/limits.py DATA [--only time|memory]

Commands run one after another with a limit that is too small for what they ask. Seconds are those of the whole command,
imports and the model folder included; memory is the largest sum, looked at every 50 ms, of what the command and its
workers have resident (shared pages by their share, Linux alone). Each limit is kept if what was used is at most 1.1
times what was allowed. Results go to ``benchmarks/results/limits.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import date
from pathlib import Path

import psutil

from lamina.data.reading import read_table
from lamina.study.summary import environment
from lamina.study.workers import hire
from lamina.training.memory import to_bytes

RESULTS = Path(__file__).parent / "results" / "limits.json"
TIMES = (
    ("adult", "compare --networks mlp,resnet,fan --rivals constant --time 60s"),
    ("phoneme", "compare --networks mlp,bilinear --rivals constant,linear --time 30s"),
    ("phoneme", "compare --networks mlp,kan --rivals none --time 20s --jobs 1"),
    ("adult", "fit --network mlp --time 20s"),
    ("adult", "fit --network kan --time 30s"),
    ("phoneme", "fit --network resnet --time 10s"),
)
MEMORIES = (
    ("adult", "fit --network mlp --memory 700MB --time 40s"),
    ("adult", "fit --network kan --memory 1GB --time 40s"),
    ("phoneme", "fit --network moe --memory 600MB --time 30s"),
    ("phoneme", "fit --network densenet --params 1000000 --settings 4 --memory 800MB --time 40s"),
    ("phoneme", "compare --networks mlp,kan --rivals none --splits 1 --seeds 2 --memory 2GB --time 40s"),
)


def used(command: list[str]) -> tuple[float, int, int]:
    """Seconds, largest memory in bytes and exit code of a command."""
    start, most = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        root = psutil.Process(process.pid)
        while process.poll() is None:
            with suppress(psutil.Error):
                family = [root, *root.children(recursive=True)]
                most = max(most, sum(p.memory_full_info().pss for p in family))
            time.sleep(0.05)
        return time.perf_counter() - start, most, process.returncode


def case(data: Path, tables: dict, table: str, asked: str, what: str, folder: Path) -> dict:
    """One command and how it kept its limit."""
    facts, (verb, *options) = tables[table], asked.split()
    frame = read_table(data / facts["file"])
    path = folder / f"{table}.csv"
    frame.drop([c for c in facts["ignore"] if c in frame.columns]).write_csv(path)
    out = folder / f"out{len(list(folder.iterdir()))}"
    where = [str(path), "--target", facts["target"], "--out", str(out)]
    seconds, memory, code = used([sys.executable, "-m", "lamina", verb, *where, *options])
    limit = options[options.index(f"--{what}") + 1]
    allowed = float(limit.rstrip("s")) if what == "time" else to_bytes(limit)
    share = round((seconds if what == "time" else memory) / allowed, 3)
    found = {"table": table, "asked": asked, "seconds": round(seconds, 1), "megabytes": round(memory / 1e6)}
    return found | {"of_limit": share, "kept": share <= 1.1, "exit": code}


def main() -> None:
    """Run all cases, print and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", choices=("time", "memory"), help="measure one of them, keep the other's results")
    asked = parser.parse_args()
    data = asked.data
    tables = {t["name"]: t for t in json.loads((data / "tables.json").read_text())}
    result: dict = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    result |= {"date": str(date.today()), "environment": environment("cpu", hire(1, 1))}
    with tempfile.TemporaryDirectory() as folder:
        for what, cases in (("time", TIMES), ("memory", MEMORIES)):
            if asked.only in (None, what):
                result[what] = [case(data, tables, *one, what, Path(folder)) for one in cases]
                print(*result[what], sep="\n")
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
