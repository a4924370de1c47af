"""How long the claims take, and whether other seeds give the same verdicts.

    python benchmarks/claims.py [--jobs 2]

All claims run at scale ``quick``, then at ``full`` with seeds 0 to 9 and again with seeds 10 to 19 (``LAMINA_DATA``
names the folder of MNIST and Tiny Shakespeare). What was measured before by the same code is taken from ``evidence/``
and, for the second range, from ``evidence/other``. A claim is stable when the two verdicts are the same or one is "not
decided". Seconds are of the processor, those by the clock of what was measured in this call. Results go to
``benchmarks/results/claims.json``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import date
from pathlib import Path

from lamina.evidence import Evidence, names, reproduce_all

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "claims.json"
RANGES = {"0 to 9": (range(10), ROOT / "evidence"), "10 to 19": (range(10, 20), ROOT / "evidence" / "other")}


def measured(scale: str, jobs: int | None, seeds: range | None, folder: Path) -> tuple[dict[str, Evidence], float]:
    """The evidence on all claims, and the seconds by the clock."""
    start = time.perf_counter()
    found = dict(reproduce_all(names(), seeds=seeds, scale=scale, jobs=jobs, out=folder, resume=True))
    for name, result in found.items():
        if not isinstance(result, Evidence):
            raise SystemExit(f"{name}: {result}")
        print(f"{scale}, {name}: {result.verdict}, {result.seconds:.0f} s", flush=True)
    return {name: result for name, result in sorted(found.items()) if isinstance(result, Evidence)}, round(
        time.perf_counter() - start, 1
    )


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        quick, quick_clock = measured("quick", jobs, None, Path(folder))
    full = {text: measured("full", jobs, *where) for text, where in RANGES.items()}
    (first, _), (second, _) = full.values()
    rows = {
        name: {
            "quick": e.verdict,
            "quick_seconds": e.seconds,
            **{f"full, seeds {text}": found[name].verdict for text, (found, _) in full.items()},
            "full_seconds": first[name].seconds,
            "stable": first[name].verdict == second[name].verdict
            or "not decided" in (first[name].verdict, second[name].verdict),
        }
        for name, e in quick.items()
    }
    result = {
        "date": str(date.today()),
        "environment": next(iter(quick.values())).environment,
        "quick_clock_seconds": quick_clock,
        "quick_seconds": round(sum(e.seconds for e in quick.values()), 1),
        "full_clock_seconds": {text: clock for text, (_, clock) in full.items()},
        "full_seconds": {text: round(sum(e.seconds for e in found.values()), 1) for text, (found, _) in full.items()},
        "claims": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
