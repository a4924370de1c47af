"""Which layer fits formulas of physics best? Every layer for functions against the MLP, at equal parameters and steps.

    LAMINA_DATA=DATA python benchmarks/feynman.py [--names kan,fan] [--jobs 2]

Every fifth of the 100 Feynman formulas; 2,000 rows to learn from and 10,000 to test on, drawn anew for every seed;
networks of 5,000 parameters, as `lamina.create` makes them, trained by 200 steps of L-BFGS on all rows (as in the paper
of KAN: no learning rate to choose, and no noise of batches that would hide differences), in evaluation mode, so that
mixtures of experts draw no noise. Inputs and outputs are standardised; so are the errors. A row of
``benchmarks/results/feynman.csv`` is a training; what is there already is not measured again. `readme.py` makes the
table of the page.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from lamina.catalog import TOKENS, systems
from lamina.claims._lbfgs import minimise
from lamina.data.feynman import Formula, formulas
from lamina.networks import KAN, create
from lamina.networks.size import count_params

RESULTS = Path(__file__).parent / "results" / "feynman.csv"
SEEDS, PARAMS, STEPS, TRAIN, TEST = range(5), 5_000, 200, 2_000, 10_000
FIELDS = ("formula", "network", "seed", "params", "test_rmse", "train_rmse", "seconds")
# Networks of splines and nothing else, with grids laid over the data: their intervals, in turn. To begin with few and
# to refine them is how KANs are trained in their paper; these were chosen on five formulas that are not measured here.
GRIDS = {"kan without normalisation": (5,), "kan with refined grids": (2, 4, 8)}


def names() -> list[str]:
    """The MLP, the layers, the fused MLP, and the networks of splines and nothing else."""
    layers = [n for n, s in systems().items() if s.kind == "layer" and s.domain in ("any", *TOKENS)]
    return ["mlp", *GRIDS, "fused_mlp", *layers]


def network(name: str, inputs: int, seed: int, x: Tensor) -> nn.Module:
    """A network of about the budget; of splines, with its last grids."""
    if name not in GRIDS:
        return create(name, in_features=inputs, out_features=1, params=PARAMS, seed=seed).eval()
    torch.manual_seed(seed)
    first, last = GRIDS[name][0], GRIDS[name][-1]
    width = min(range(2, 60), key=lambda w: abs(count_params(KAN([inputs, w, w, 1], grid=last)) - PARAMS))
    return KAN([inputs, width, width, 1], grid=first).adapt(x)


def run(formula: Formula, name: str, seed: int) -> dict[str, object]:
    """One training."""
    torch.set_num_threads(1)
    table = formula.sample(TRAIN + TEST, seed).to_numpy()
    table = torch.from_numpy((table - table[:TRAIN].mean(0)) / table[:TRAIN].std(0)).float()
    x, y = table[:, :-1], table[:, -1:]
    model, start = network(name, x.shape[1], seed, x[:TRAIN]), time.perf_counter()
    grids = GRIDS.get(name, (None,))
    for stage, grid in enumerate(grids):
        if stage:
            model = model.refine(grid)
        minimise(model, lambda m=model: (m(x[:TRAIN]) - y[:TRAIN]).square().mean(), STEPS // len(grids))
    seconds = time.perf_counter() - start
    with torch.no_grad():
        errors = (model(x) - y).double().square()
    rmse = {"test_rmse": errors[TRAIN:].mean().sqrt().item(), "train_rmse": errors[:TRAIN].mean().sqrt().item()}
    facts = {"formula": formula.name, "network": name, "seed": seed, "params": count_params(model)}
    return {**facts, **{key: f"{value:.4g}" for key, value in rmse.items()}, "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", default="")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    known = set()
    if RESULTS.exists():
        with RESULTS.open(newline="") as file:
            known = {(row["formula"], row["network"], row["seed"]) for row in csv.DictReader(file)}
    chosen = list(formulas().values())[::5]
    for name in [n for n in asked.names.split(",") if n] or names():
        missing = [(f, s) for f in chosen for s in SEEDS if (f.name, name, str(s)) not in known]
        found = Parallel(n_jobs=asked.jobs)(delayed(run)(f, name, s) for f, s in missing)
        new = not RESULTS.exists()
        with RESULTS.open("a", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(found)
        print(name, len(found), f"{sum(float(row['seconds']) for row in found):.0f} s", flush=True)


if __name__ == "__main__":
    main()
