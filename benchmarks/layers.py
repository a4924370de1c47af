"""What a layer costs: forward and backward against a dense block of as many parameters, interleaved in one run.

    python benchmarks/layers.py [eager] [compiled] [limit] [memory] [degree] [fleet] [--names kan,fan] [--repeats 30]

Every drop-in layer of the catalogue, and its peers where they can be imported: pykan (``pip install pykan``), and the
repositories efficient-kan, fast-kan and hopfield-layers on the ``PYTHONPATH``. The block is ``Linear(n, h)``, SiLU,
``Linear(h, n)`` with the h that has the layer's parameters. Each part is written into results/layers.json when done.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import platform
import statistics
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from numba.core.registry import CPUDispatcher
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lamina.catalog import systems
from lamina.claims.matrix_kan import Computed, recursion
from lamina.layers.kan import KANLinear
from lamina.networks.size import count_params

RESULTS = Path(__file__).parent / "results" / "layers.json"
SHAPES = tuple(itertools.product((256, 4_096), (64, 256)))
SECONDS = 2.0  # of all rounds of a comparison, where three rounds do not take longer
Make = Callable[[int], nn.Module]


def block(like: nn.Module, n: int) -> nn.Module:
    """A linear-SiLU-linear block of as many parameters."""
    hidden = max(1, round((count_params(like) - n) / (2 * n + 1)))
    return nn.Sequential(nn.Linear(n, hidden), nn.SiLU(), nn.Linear(hidden, n))


def layers() -> dict[str, Make]:
    """The drop-in layers of the catalogue."""
    found = {name: s for name, s in systems().items() if s.kind == "layer" and s.domain == "any"}
    return {name: (lambda n, system=system: system.load()(n, n)) for name, system in found.items()}


def peers() -> dict[str, Make]:
    """Spline layers of others, where they are installed."""
    found: dict[str, Make] = {}
    for name, module, cls in (
        ("pykan", "kan", "KANLayer"),
        ("efficient-kan", "efficient_kan", "KANLinear"),
        ("fast-kan", "fastkan", "FastKANLayer"),
    ):
        try:
            made = getattr(importlib.import_module(module), cls)
        except ImportError as error:
            print(f"{name} is not measured: {error}")
            continue
        found[name] = (
            (lambda n, made=made: First(made(in_dim=n, out_dim=n)))
            if name == "pykan"
            else (lambda n, made=made: made(n, n))
        )
    return found


class First(nn.Module):
    """The first of several outputs."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0]


def step(module: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Forward and backward, to the inputs too."""
    inputs = tuple(x.detach().requires_grad_() for x in inputs)
    module(*inputs).sum().backward()


def timed(contenders: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Milliseconds of each, in turn: a round to warm up, then as many as fit into some seconds, at least three."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    done, began = 0, time.perf_counter()
    while done < 4 or (done <= repeats and time.perf_counter() - began < SECONDS):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            found[name].append(1e3 * (time.perf_counter() - start))
        done += 1
    return {name: times[1:] for name, times in found.items()}


def ratio(above: list[float], below: list[float]) -> dict[str, float]:
    """The median of the ratios, and the milliseconds."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return {"ratio": round(statistics.median(ratios), 3), "ms": round(statistics.median(above), 3)}


def eager(names: list[str], repeats: int, *, compiled: bool = False) -> dict[str, Any]:
    """Each layer against its block, at every shape and number of threads."""
    makers = {n: m for n, m in {**layers(), **peers()}.items() if not names or n in names}
    found: dict[str, Any] = {}
    for threads, (batch, n) in itertools.product((1, 2), SHAPES):
        torch.set_num_threads(threads)
        for name, make in makers.items():
            torch.manual_seed(0)
            layer, x = make(n), torch.randn(batch, n)
            pair: dict[str, Any] = {"layer": layer, "block": block(layer, n)}
            if compiled:
                torch.compiler.reset()
                pair = {key: torch.compile(module, fullgraph=True) for key, module in pair.items()}
                for _ in range(2):  # for some seconds the compiler's own processes take time
                    timed({key: (lambda m=m, x=x: step(m, x)) for key, m in pair.items()}, 10**6)
            runs = timed({key: (lambda m=m, x=x: step(m, x)) for key, m in pair.items()}, repeats)
            key = f"{threads} threads, {batch} x {n}"
            found.setdefault(name, {})[key] = ratio(runs["layer"], runs["block"])
            print(name, key, found[name][key], flush=True)
    return found


class Operations(TorchDispatchMode):
    """Keeps all arithmetic, inside operators too: products, sums, compiled loops, and functions of single numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.whole: list[Callable[[], Any]] = []
        self.single: list[tuple[Any, tuple[Any, ...], dict[str, Any], int]] = []

    def loops(self) -> AbstractContextManager[Any]:
        """Also calls of compiled loops are kept."""

        def call(loop: Any, *args: Any) -> None:
            self.whole.append(lambda: loop(*args))
            super(CPUDispatcher, loop).__call__(*args)

        return mock.patch.object(CPUDispatcher, "__call__", call, create=True)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "lamina":
            with self:
                return func._op_dk(torch._C.DispatchKey.CPU, *args, **kwargs)
        found = func(*args, **kwargs)
        results = [t for t in tree_leaves(found) if isinstance(t, Tensor)]
        name = func.overloadpacket.__name__
        packet = func.overloadpacket if name.endswith("__") else getattr(aten, name.removesuffix("_"))
        if not results or not results[0].is_floating_point() or packet in COPIES:
            pass
        elif any(torch.Tag.pointwise in getattr(packet, name).tags for name in packet.overloads()):
            given = {key: value for key, value in kwargs.items() if key not in ("out", "grad_input")}
            self.single.append((packet, args, given, results[0].numel()))
        elif packet in MORE:
            self.whole.append(lambda: func(*args, **kwargs))
        elif packet in SUMS:
            into = {} if "out" in kwargs or packet is not func.overloadpacket else {"out": results[0].clone()}
            self.whole.append(lambda: func.overloadpacket(*args, **kwargs, **into))
        return found


aten = torch.ops.aten
COPIES = {aten.clone, aten.copy, aten._to_copy, aten.fill, aten.zeros_like, aten.ones_like, aten.zero}
SUMS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.sum, aten.mean, aten.cumsum}
# made of products and sums; they take no memory set aside
MORE = {aten.native_layer_norm, aten.native_layer_norm_backward, aten._softmax, aten._softmax_backward_data}
MORE |= {aten._euclidean_dist}
TILE = 16_384  # numbers: some tensors of that size stay in the cache of a core


def limit(names: list[str], repeats: int) -> dict[str, Any]:
    """Each layer against its own arithmetic alone.

    That is all products, sums and compiled loops of forward and backward, into memory set aside, and its functions of
    single numbers at the speed that they have in cache, shared out to the threads: no copies, no memory to find, no
    gradient tape, no calls.
    """
    found: dict[str, Any] = {}
    for threads, (name, make), (batch, n) in itertools.product((1, 2), layers().items(), SHAPES):
        if names and name not in names:
            continue
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        layer, x = make(n), torch.randn(batch, n)
        step(layer, x)
        layer.zero_grad()
        with Operations() as seen, seen.loops():
            step(layer, x)
        rest = sum(numbers * cost(func, args, kwargs) for func, args, kwargs, numbers in seen.single) / threads

        def products(calls: list[Callable[[], Any]] = seen.whole) -> None:
            with torch.no_grad():
                for call in calls:
                    call()

        runs = timed({"layer": lambda m=layer, x=x: step(m, x), "products": products}, repeats)
        key = f"{threads} threads, {batch} x {n}"
        found.setdefault(name, {})[key] = ratio(runs["layer"], [t + 1e3 * rest for t in runs["products"]]) | {
            "limit ms": round(statistics.median(runs["products"]) + 1e3 * rest, 3)
        }
        print(name, key, found[name][key], flush=True)
    return found


COSTS: dict[tuple[Any, ...], float] = {}


def cost(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Seconds for a number of a function of single numbers, in cache, without the call."""
    plain = tuple("tensor" if isinstance(a, Tensor) else a for a in args)
    key = (func, repr(plain), repr(kwargs))
    if key not in COSTS:

        def took(numbers: int) -> float:
            tiles = [torch.rand(numbers).to(a.dtype) if isinstance(a, Tensor) else a for a in args]
            times = []
            for _ in range(20):
                start = time.perf_counter()
                func(*tiles, **kwargs)
                times.append(time.perf_counter() - start)
            return statistics.median(times)

        COSTS[key] = max(0.0, took(TILE) - took(1)) / TILE
    return COSTS[key]


def memory(names: list[str], _: int) -> dict[str, Any]:
    """The largest extra memory of a step over that of the block's."""
    found: dict[str, Any] = {}
    for name, make in {**layers(), **peers()}.items():
        if names and name not in names:
            continue
        for batch, n in SHAPES:
            layer, x = make(n), torch.randn(batch, n)
            ours, theirs = peak(layer, x), peak(block(layer, n), x)
            found.setdefault(name, {})[f"{batch} x {n}"] = {"ratio": round(ours / theirs, 3), "bytes": ours}
        print(name, found[name], flush=True)
    return found


class Held(TorchDispatchMode):
    """Counts the bytes of all storages that operations hand out, while they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self.seen:
                self.seen.add(storage)
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self.free, storage.nbytes())
        return found

    def free(self, count: int) -> None:
        self.now -= count


def peak(module: nn.Module, x: Tensor) -> int:
    """Bytes that the results of operations hold at the most in a step; what an operator uses inside is not seen."""
    step(module, x)
    module.zero_grad()
    with Held() as held:
        step(module, x)
    return held.most


def degree(_: list[str], repeats: int) -> dict[str, Any]:
    """The closed form of B-splines against the recursion, by degree: what MatrixKAN is about."""
    found: dict[str, Any] = {}
    torch.set_num_threads(1)
    for p in (2, 3, 5, 8, 10):
        layer, x = KANLinear(64, 64, degree=p), torch.randn(1_024, 64)
        slow = Computed(64, 64, degree=p, splines=recursion)
        slow.load_state_dict(layer.state_dict())
        error = (slow.double()(x.double()) - layer.double()(x.double())).abs().max().item()
        layer.float(), slow.float()
        runs = timed({"closed": lambda m=layer, x=x: step(m, x), "recursive": lambda m=slow, x=x: step(m, x)}, repeats)
        found[f"degree {p}"] = ratio(runs["recursive"], runs["closed"]) | {"largest difference": error}
        print(p, found[f"degree {p}"], flush=True)
    return found


def fleet(names: list[str], repeats: int) -> dict[str, Any]:
    """The batched form of operators on a stack of 32 against `torch.func.vmap` of plain operations."""
    found: dict[str, Any] = {}
    for threads, (batch, n), name in itertools.product((1, 2), ((32, 16), (256, 64)), names or OPERATORS):
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        members, x = [layers()[name](n) for _ in range(32)], torch.randn(32, batch, n)
        parameters, buffers = torch.func.stack_module_state(members)

        def call(p: dict[str, Tensor], b: dict[str, Tensor], x: Tensor, base: nn.Module = members[0]) -> Tensor:
            return torch.func.functional_call(base, (p, b), (x,))

        def stack(f: Callable[..., Tensor] = call, p: Any = parameters, b: Any = buffers, x: Tensor = x) -> None:
            step(lambda x: torch.func.vmap(f, randomness="different")(p, b, x), x)

        def plain(stack: Callable[[], None] = stack) -> None:
            with mock.patch("torch.compiler.is_compiling", return_value=True):  # there operators are plain operations
                stack()

        runs = timed({"operator": stack, "vmap": plain}, repeats)
        key = f"{threads} threads, {batch} x {n}"
        found.setdefault(name, {})[key] = ratio(runs["operator"], runs["vmap"])
        print("fleet", name, key, found[name][key], flush=True)
    return found


OPERATORS = ["kan", "af_kan", "fan", "fourier_features", "gr_kan", "icgn", "matrix_exp", "mlp_kan", "skan", "snnk"]
PARTS: dict[str, Callable[[list[str], int], dict[str, Any]]] = {
    "eager": eager,
    "compiled": lambda names, repeats: eager(names or ["kan"], repeats, compiled=True),
    "limit": limit,
    "memory": memory,
    "degree": degree,
    "fleet": fleet,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--names", default="")
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for part in asked.parts or PARTS:
        measured = PARTS[part]([n for n in asked.names.split(",") if n], asked.repeats)
        found.setdefault(part, {}).update(measured)
        found["machine"] = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
