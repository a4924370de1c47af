"""Training steps through `torch.compile`: what it takes, and where it pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lamina.kernels.bspline import plain_edges, plain_edges_backward
from lamina.kernels.spline_linear import plain_linear, plain_linear_backward
from lamina.kernels.waves import plain_waves, plain_waves_backward

SECONDS = 12.0  # that compiling takes: a network took 4 to 10, the first of a process longer

_OPERATORS = torch.ops.lamina
_SPLINES: dict[Any, Callable[..., Any]] = {
    _OPERATORS.spline_edges.default: plain_edges,
    _OPERATORS.spline_edges_backward.default: plain_edges_backward,
    _OPERATORS.spline_linear.default: plain_linear,
    _OPERATORS.spline_linear_backward.default: plain_linear_backward,
}
_WAVES: dict[Any, Callable[..., Any]] = {
    _OPERATORS.waves.default: plain_waves,
    _OPERATORS.waves_backward.default: plain_waves_backward,
}
# Under the compiler the operators of a single network are plain operations, which it joins with their neighbours.
PLAIN = _SPLINES | _WAVES

# After benchmarks/compiling.py, on the careful side: by what the step of a single network is recognised, how many bytes
# of results it gets through in a second, and which share of its time compiling saves. Other networks saved 4 to 16 %,
# stacks became slower at one shape or at both, or hardly faster. These are constants, because a choice by the clock
# would make numbers depend on it.
_GAINS = ((set(_SPLINES), 2e9, 0.25), ({torch.ops.aten.cos.default, *_WAVES}, 1e10, 0.2))


def pays(graph: Any, members: int, steps: int) -> bool:
    """Whether compiling a traced step is expected to save more seconds than it costs, over so many steps."""
    if members > 1:
        return False
    nodes = [n for n in graph.nodes if n.op == "call_function"]
    values = (node.meta.get("val") for node in nodes)
    held = sum(value.numel() * value.element_size() for value in values if isinstance(value, torch.Tensor))
    found = (gains for targets, *gains in _GAINS if any(node.target in targets for node in nodes))
    speed, share = next(found, (1.0, 0.0))
    return share * steps * held / speed > SECONDS


def compiled(traced: Any) -> Callable[..., Any]:
    """The graph through `torch.compile`; what draws random numbers from a member's stream stays outside of it."""
    for node in traced.graph.nodes:
        if node.op == "call_function" and getattr(node.target, "__module__", "").startswith("lamina."):
            node.target = torch.compiler.disable(node.target)
    traced.recompile()
    return torch.compile(traced, dynamic=False)
