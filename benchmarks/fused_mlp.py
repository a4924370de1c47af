"""A narrow perceptron tile of rows by tile of rows against layer by layer: time in inference, and what bytes predict.

    python benchmarks/fused_mlp.py [ROUNDS]

Six layers of one width, 16 to 512, and as many rows as give activations of 2^23 numbers: 2^17 for width 64. In each
round all contenders run once for every width and number of threads, in turn; a ratio is the median over the rounds of
the ratios within a round. Beside it stands the ratio that a roofline model predicts: each step takes as long as its
arithmetic or its bytes, whichever is longer, and only tiles do all layers in one step. Its two rates are measured in
the same rounds: products of a tile within the cache, and a ReLU of all rows into new memory.

All goes to ``benchmarks/results/fused_mlp.json``. The aim, for width 64: outputs within 1e-5, at most 0.8 of the time.

Source of the model: Williams, Waterman and Patterson 2009, Roofline: an insightful visual performance model for
multicore architectures, doi:10.1145/1498765.1498785.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from lamina.kernels.narrow_mlp import layer_by_layer, narrow_mlp

ROUNDS, LAYERS, NUMBERS, TILE = 9, 6, 2**23, 2**18
WIDTHS, THREADS = (16, 32, 64, 128, 256, 512), (1, 2)
TILES, PLAIN, IN_PLACE = "tiles", "layer by layer", "layer by layer, ReLU in place"
PRODUCT, MEMORY = "product of a tile", "ReLU in memory"


def in_place(x: Tensor, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """Layer by layer without new memory for what the ReLU returns."""
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = F.linear(x, weight, bias).relu_()
    return F.linear(x, weights[-1], biases[-1])


def contenders(width: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """What is measured for a width, and the largest deviation of the tiles' outputs from those of layer by layer."""
    x = torch.randn(NUMBERS // width, width)
    weights = [torch.randn(width, width) * (2 / width) ** 0.5 for _ in range(LAYERS)]
    biases = [torch.randn(width) / 10 for _ in range(LAYERS)]
    tile, out = torch.randn(TILE // width, width), torch.empty(TILE // width, width)
    truth = layer_by_layer(x, weights, biases)
    gap = float((narrow_mlp(x, weights, biases) - truth).abs().max() / truth.abs().max())
    return {
        TILES: partial(narrow_mlp, x, weights, biases),
        PLAIN: partial(layer_by_layer, x, weights, biases),
        IN_PLACE: partial(in_place, x, weights, biases),
        PRODUCT: partial(products, biases[0], tile, weights[0].T, out),
        MEMORY: partial(torch.relu, x),
    }, gap


def products(bias: Tensor, tile: Tensor, weight: Tensor, out: Tensor) -> None:
    """As many products as a layer has tiles."""
    for _ in range(NUMBERS // TILE):
        torch.addmm(bias, tile, weight, out=out)


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def predicted(product: float, relu: float) -> float:
    """Time of tiles over that of layer by layer, from the seconds of one layer's arithmetic and of one ReLU's bytes."""
    layered = LAYERS * max(product, relu) + (LAYERS - 1) * relu
    return max(LAYERS * product, relu) / layered


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """Medians of ratios, with their quartiles, and of milliseconds, for a width and a number of threads."""

    def ratio(of: str, to: str) -> list[float]:
        ratios = [a / b for a, b in zip(times[of], times[to], strict=True)]
        return [round(q, 3) for q in statistics.quantiles(ratios, n=4, method="inclusive")]

    low, middle, high = ratio(TILES, PLAIN)
    model = [predicted(p, m) for p, m in zip(times[PRODUCT], times[MEMORY], strict=True)]
    return {
        "ratio": middle,
        "quartiles": [low, high],
        "ratio_to_in_place": ratio(TILES, IN_PLACE)[1],
        "predicted": round(statistics.median(model), 3),
        "milliseconds": {name: round(1e3 * statistics.median(of), 2) for name, of in times.items()},
    }


@torch.inference_mode()
def main() -> None:
    """Measure and write."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    torch.manual_seed(0)
    result: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "rounds": rounds,
        "threads": {str(threads): {} for threads in THREADS},
    }
    for width in WIDTHS:
        torch.set_num_threads(max(THREADS))
        calls, gap = contenders(width)
        times: dict[int, dict[str, list[float]]] = {threads: defaultdict(list) for threads in THREADS}
        for turn in range(rounds + 1):
            for threads in THREADS:
                torch.set_num_threads(threads)
                for name, call in calls.items():
                    taken = seconds(call)
                    if turn:  # the first warms up
                        times[threads][name].append(taken)
        for threads in THREADS:
            result["threads"][str(threads)][str(width)] = {"deviation": gap, **summary(times[threads])}
    for of in result["threads"].values():
        pairs = [(one["ratio"], one["predicted"]) for one in of.values()]
        of["rank_correlation_with_prediction"] = round(float(spearmanr(*zip(*pairs, strict=True)).statistic), 3)
    aim = [result["threads"][str(threads)]["64"] for threads in THREADS]
    result["aim_met"] = [one["deviation"] <= 1e-5 and one["ratio"] <= 0.8 for one in aim]
    path = Path(__file__).parent / "results" / "fused_mlp.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
