"""What Hopfield layers cost: forward and backward against plain attention with the same projections, in one run.

    python benchmarks/hopfield.py [--repeats 40]

Association, pooling and lookup, one and two threads, one update and four; and the authors' package where it can be
imported (the repository hopfield-layers on the ``PYTHONPATH``). Results go to ``benchmarks/results/hopfield.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from layers import ratio, step, timed
from torch import Tensor, nn

from lamina.layers.hopfield import Hopfield, HopfieldLookup, HopfieldPooling

RESULTS = Path(__file__).parent / "results" / "hopfield.json"
SETS, TOKENS, ROWS, PATTERNS, HEADS, EXTRA = 64, 64, 1_024, 256, 4, 3
WIDTHS, THREADS = (64, 256), (1, 2)


class Attention(nn.Module):
    """`scaled_dot_product_attention` between projections: of tokens, by learnt queries, of rows in a memory."""

    def __init__(self, n: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.stored, self.out = nn.Linear(n, 2 * n), nn.Linear(n, n)
        self.query = nn.Linear(n, n)
        self.learnt = nn.Parameter(torch.randn(1, HEADS, 1, n // HEADS))
        self.keys, self.values = (nn.Parameter(torch.randn(1, HEADS, PATTERNS, n // HEADS)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "lookup":
            return self.read(self.split(self.query(x[None])), self.keys, self.values)[0]
        k, v = map(self.split, self.stored(x).chunk(2, -1))
        q = self.split(self.query(x)) if self.kind == "association" else self.learnt.expand(len(x), -1, -1, -1)
        return self.read(q, k, v)

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    def read(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Alone(nn.Module):
    """The attention of `Attention` without its projections: what an extra update may cost."""

    def __init__(self, n: int, kind: str) -> None:
        super().__init__()
        self.kind, self.other = kind, Attention(n, kind)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "lookup":
            return F.scaled_dot_product_attention(self.other.split(x[None]), self.other.keys, self.other.values)
        k = self.other.split(x)
        q = k if self.kind == "association" else self.other.learnt.expand(len(x), -1, -1, -1)
        return F.scaled_dot_product_attention(q, k, k)


def ours(kind: str, n: int, updates: int) -> nn.Module:
    options = {"heads": HEADS, "steps": updates}
    if kind == "lookup":
        return HopfieldLookup(n, n, patterns=PATTERNS, **options)
    return (Hopfield if kind == "association" else HopfieldPooling)(n, n, **options)


def authors(kind: str, n: int, updates: int) -> Callable[[Tensor], Tensor] | None:
    """The layer of the paper's authors; their lookup takes the rows as sets of one token, its default layout."""
    try:
        import hflayers
    except ImportError as error:
        print(f"the authors' package is not measured: {error}")
        return None
    options = {"num_heads": HEADS, "batch_first": True, "update_steps_max": updates - 1, "update_steps_eps": 1e-30}
    if kind == "lookup":
        layer = hflayers.HopfieldLayer(input_size=n, quantity=PATTERNS, **options)
        return lambda x: layer(x[:, None])
    return (hflayers.Hopfield if kind == "association" else hflayers.HopfieldPooling)(input_size=n, **options)


def compare(
    attention: nn.Module, contenders: dict[str, Callable[[Tensor], Tensor]], x: Tensor, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of steps, in turn."""
    modules = {"attention": attention, **contenders}
    return timed({name: (lambda m=m: step(m, x)) for name, m in modules.items()}, repeats)


def measure(repeats: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for threads, n, kind in itertools.product(THREADS, WIDTHS, ("association", "pooling", "lookup")):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        x = torch.randn(ROWS, n) if kind == "lookup" else torch.randn(SETS, TOKENS, n)
        attention = Attention(n, kind)
        contenders = {"one update": ours(kind, n, 1), "four": ours(kind, n, 1 + EXTRA), "alone": Alone(n, kind)}
        runs = compare(attention, contenders, x, repeats)
        theirs = {
            name: authors(kind, n, updates) for name, updates in (("authors, one", 1), ("authors, four", 1 + EXTRA))
        }
        # apart, as they are slow: there would be few rounds
        others = compare(attention, {name: layer for name, layer in theirs.items() if layer is not None}, x, 3)
        key = f"{kind}, {threads} threads, {n}"
        found[key] = {name: ratio(runs[name], runs["attention"]) for name in ("one update", "four")}
        found[key] |= {name: ratio(others[name], others["attention"]) for name in others if name != "attention"}
        extra = [(four - one) / EXTRA for four, one in zip(runs["four"], runs["one update"], strict=True)]
        found[key]["an extra update to attention alone"] = ratio(extra, runs["alone"])
        print(key, found[key], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    found = measure(parser.parse_args().repeats)
    found["machine"] = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
