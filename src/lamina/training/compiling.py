"""Training steps through `torch.compile`: what it takes, and where it pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamina.kernels.bspline import plain_edges, plain_edges_backward
from lamina.kernels.spline_linear import plain_linear, plain_linear_backward

# After benchmarks/compiling.py, on the careful side: a network took 4 to 6 s to compile, the first of a process longer; a
# step of splines alone got through 1.2 GB of results in a second, and compiling saved 32 % of it. Stacks of members, and
# single networks of other kinds, became slower or hardly faster. These are constants, because a choice by the clock
# would make numbers depend on it.
SECONDS, BYTES, SAVED = 12.0, 2e9, 0.25

_OPERATORS = torch.ops.lamina
# Under the compiler the operators of a single network are plain operations, which it joins with their neighbours.
PLAIN: dict[Any, Callable[..., Any]] = {
    _OPERATORS.spline_edges.default: plain_edges,
    _OPERATORS.spline_edges_backward.default: plain_edges_backward,
    _OPERATORS.spline_linear.default: plain_linear,
    _OPERATORS.spline_linear_backward.default: plain_linear_backward,
}


def pays(graph: Any, members: int, steps: int) -> bool:
    """Whether compiling a traced step is expected to save more seconds than it costs, over so many steps."""
    if members > 1:
        return False
    nodes = [n for n in graph.nodes if n.op == "call_function"]
    if not any(node.target in PLAIN for node in nodes):
        return False
    values = (node.meta.get("val") for node in nodes)
    held = sum(value.numel() * value.element_size() for value in values if isinstance(value, torch.Tensor))
    return SAVED * steps * held / BYTES > SECONDS


def compiled(traced: Any) -> Callable[..., Any]:
    """The graph through `torch.compile`; what draws random numbers from a member's stream stays outside of it."""
    for node in traced.graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__module__", "").startswith("lamina."):
            node.target = torch.compiler.disable(node.target)
    traced.recompile()
    return torch.compile(traced, dynamic=False)
