"""Compare all networks and rivals, quickly, on 35 real tables: what does somebody get who lets Lamina choose?

    python benchmarks/tables.py DATA [--out FOLDER] [--only NAME,NAME]

DATA is a folder with ``tables.json`` and the tables. Studies lie in FOLDER and are resumed. Results go to
``benchmarks/results/tables.csv``; `readme.py` makes mean ranks of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np

import lamina

RESULTS = Path(__file__).parent / "results" / "tables.csv"
RANKED = ("pick", "hist_gradient_boosting", "sklearn_mlp", "linear", "constant")


def measure(facts: dict, data: Path, folder: Path) -> dict:
    """One row of the results: the quick comparison of one table.

    The scores of `RANKED` are means over the splits of the score of the averaged prediction of the seeds, for
    the pick and for the rivals alike; those of the networks alone stand behind them.
    """
    start = time.perf_counter()
    study = lamina.compare(
        data / facts["file"],
        facts["target"],
        ignore=facts["ignore"],
        rivals="constant,linear,hist_gradient_boosting,sklearn_mlp",
        quick=True,
        out=folder / facts["name"],
        resume=True,
    )
    summary = study.summary
    rows = {r["name"]: r for r in summary["networks"] + summary["rivals"]}
    ensembles = {name: float(np.mean(r["ensemble"])) for name, r in rows.items()}
    return {
        "table": facts["name"],
        "task": summary["task"],
        "metric": summary["metric"],
        "higher_is_better": summary["higher_is_better"],
        "rows": facts["rows"],
        "rows_used": summary["rows"],
        "columns": summary["data"]["features"],
        "chosen": "+".join(summary["pick"]["choices"]),
        "pick": float(np.mean(summary["pick"]["scores"])),
        **{name: ensembles[name] for name in RANKED[1:]},
        **{r["name"]: ensembles[r["name"]] for r in summary["networks"]},
        "best": summary["verdict"]["best"],
        "decided": summary["verdict"]["decided"],
        "training_seconds": round(
            sum(r["fit_seconds"] * len(r["settings"]) * len(r["scores"]) for r in rows.values()), 1
        ),
        "wall_seconds": round(time.perf_counter() - start, 1),
        "machine": f"{summary['environment']['machine']}, {summary['environment']['cores']} cores",
        "torch": summary["environment"]["torch"],
    }


def main() -> None:
    """Run the tables that are asked for and write the results of all whose studies are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("lamina-tables"))
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    if not (asked.data / "tables.json").is_file():
        sys.exit(f"no tables.json in {asked.data}: this benchmark needs the real tables")
    tables = json.loads((asked.data / "tables.json").read_text())
    only = set(filter(None, asked.only.split(",")))
    rows = []
    for facts in sorted((t for t in tables if not only or t["name"] in only), key=lambda t: t["rows"] * t["columns"]):
        rows.append(measure(facts, asked.data, asked.out))
        print(
            f"{rows[-1]['table']:20} {rows[-1]['pick']:.5g} {rows[-1]['wall_seconds']} s", file=sys.stderr, flush=True
        )
    if not only:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
