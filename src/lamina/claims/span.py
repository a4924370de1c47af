"""One definition, by three index maps, is dense, convolutional, transposed, graph and tied layers, derivatives too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.span import SpanLinear

OUTPUTS = "largest deviation of outputs from torch's layers, relative"
GRADIENTS = "largest deviation of gradients from torch's layers, relative"
LEGS = "largest deviation of gradients from spans with permuted legs, relative"
PASSED = "share of layers that pass a check of their derivatives in float64"
Example = tuple[int, int, np.ndarray, Callable[[Tensor, Tensor], Tensor]]  # sizes, edges (s, t, p), torch's layer


def _sizes(rng: np.random.Generator, *ranges: tuple[int, int]) -> list[int]:
    return [int(rng.integers(*one)) for one in ranges]


def dense(rng: np.random.Generator) -> Example:
    n, m = _sizes(rng, (2, 9), (2, 9))
    t, s = np.indices((m, n)).reshape(2, -1)
    return n, m, np.stack([s, t, t * n + s]), lambda x, w: x @ w.view(m, n).mT


def conv1d(rng: np.random.Generator) -> Example:
    """Channels to channels, one kernel for all places."""
    a, b, kernel, length = _sizes(rng, (1, 4), (1, 4), (2, 4), (5, 9))
    places = length - kernel + 1
    o, c, k, i = np.indices((b, a, kernel, places)).reshape(4, -1)
    edges = np.stack([c * length + i + k, o * places + i, (o * a + c) * kernel + k])
    return (
        a * length, b * places, edges,
        lambda x, w: F.conv1d(x.view(-1, a, length), w.view(b, a, kernel)).flatten(1),
    )  # fmt: skip


def strided_conv2d(rng: np.random.Generator) -> Example:
    """A kernel that moves on by two places, down and to the right."""
    a, b, kernel, size = _sizes(rng, (1, 4), (1, 4), (2, 4), (5, 8))
    places = (size - kernel) // 2 + 1
    o, c, k, h, i, j = np.indices((b, a, kernel, kernel, places, places)).reshape(6, -1)
    s, t = (c * size + 2 * i + k) * size + 2 * j + h, (o * places + i) * places + j
    edges = np.stack([s, t, ((o * a + c) * kernel + k) * kernel + h])
    return (
        a * size**2, b * places**2, edges,
        lambda x, w: F.conv2d(x.view(-1, a, size, size), w.view(b, a, kernel, kernel), stride=2).flatten(1),
    )  # fmt: skip


def transposed_conv1d(rng: np.random.Generator) -> Example:
    """A strided convolution with source and target exchanged."""
    a, b, kernel, length, stride = _sizes(rng, (1, 4), (1, 4), (2, 5), (3, 7), (1, 3))
    places = (length - 1) * stride + kernel
    c, o, k, i = np.indices((a, b, kernel, length)).reshape(4, -1)
    edges = np.stack([c * length + i, o * places + i * stride + k, (c * b + o) * kernel + k])
    return (
        a * length, b * places, edges,
        lambda x, w: F.conv_transpose1d(x.view(-1, a, length), w.view(a, b, kernel), stride=stride).flatten(1),
    )  # fmt: skip


def graph(rng: np.random.Generator) -> Example:
    """Each node adds up its neighbours' features, mixed by one matrix."""
    nodes, a, b = _sizes(rng, (4, 8), (1, 4), (1, 4))
    adjacent = np.triu(rng.random((nodes, nodes)) < 0.5, 1)
    adjacent = adjacent | adjacent.T | np.eye(nodes, dtype=bool)
    pairs = np.argwhere(adjacent).T  # receiver, sender
    e, o, c = np.indices((pairs.shape[1], b, a)).reshape(3, -1)
    edges = np.stack([pairs[1][e] * a + c, pairs[0][e] * b + o, o * a + c])
    matrix = torch.from_numpy(adjacent.astype(np.float64))
    return (
        nodes * a, nodes * b, edges,
        lambda x, w: (matrix.to(x.dtype) @ x.view(-1, nodes, a) @ w.view(b, a).mT).flatten(1),
    )  # fmt: skip


def tied(rng: np.random.Generator) -> Example:
    """A circulant matrix: the weight of an edge depends on the distance alone."""
    (n,) = _sizes(rng, (3, 10))
    t, s = np.indices((n, n)).reshape(2, -1)
    return n, n, np.stack([s, t, (t - s) % n]), lambda x, w: torch.stack([x.roll(d, 1) for d in range(n)], 2) @ w


def span(in_features: int, out_features: int, **legs: Any) -> nn.Module:
    """The paper's layer: no activation."""
    return SpanLinear(in_features, out_features, activation="identity", **legs)


@claim(
    says="One definition of a linear layer, by a span with a leg of parameters, has dense, convolutional and related "
    "layers as cases, and gives the derivatives that a backward pass needs.",
    where="abstract",
    system=span,
    targets=(
        Target(OUTPUTS, "every value", at_most=1e-5),
        Target(GRADIENTS, "every value", at_most=1e-5),
        Target(LEGS, "every value", at_most=1e-5),
        Target(PASSED, "every value", at_least=1.0),
    ),
    data="dense, 1-D convolution, 2-D convolution with stride 2, transposed convolution, graph layer and circulant "
    "layer, with random sizes, weights and five normal inputs for each seed (full: 5 of each kind)",
    reported="A definition and proofs, no numbers.",
    limits="Finite sets with the counting measure, where the paper allows other measures, and single layers, not its "
    "networks of them. The span is gathered into a matrix, which says nothing on speed.",
)
def spans(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""Outputs and gradients of a random linear functional, in float32, and a check by finite differences in float64.

    Of a layer with legs :math:`(s, t, p)`, the gradient by the input is the layer with legs :math:`(t, s, p)` at the
    gradient of the output, and that by the weights the layer with legs :math:`(s, p, t)` and the gradient of the
    output as its weights.
    """
    rng = np.random.default_rng(seed)
    kinds = [dense, conv1d, strided_conv2d, transposed_conv1d, graph, tied] * scale.pick(quick=1, full=5)
    found = np.array([_compare(arm, *kind(rng), rng, seed) for kind in kinds])
    outputs, gradients, legs, passed = found.T
    return {
        OUTPUTS: float(outputs.max()),
        GRADIENTS: float(gradients.max()),
        LEGS: float(legs.max()),
        PASSED: float(passed.mean()),
    }


def _compare(
    arm: Arm, n: int, m: int, edges: np.ndarray, layer: Callable[[Tensor, Tensor], Tensor],
    rng: np.random.Generator, seed: int,
) -> tuple[float, float, float, bool]:  # fmt: skip
    s, t, p = (tuple(leg) for leg in edges.tolist())
    module = arm(n, m, seed=seed, source=s, target=t, parameter=p)
    weight = module.get_parameter("weight")
    x, v = (torch.from_numpy(rng.standard_normal((5, k))).float() for k in (n, m))
    x.requires_grad_()
    ours, theirs = module(x), layer(x, weight)
    by_input, by_weight = torch.autograd.grad((ours * v).sum(), (x, weight))
    expected = torch.autograd.grad((theirs * v).sum(), (x, weight))
    back = arm(m, n, seed=seed, source=t, target=s, parameter=p)
    to_weight = arm(n, len(weight), seed=seed, source=s, target=p, parameter=t)
    with torch.no_grad():
        back.get_parameter("weight").copy_(weight)
        permuted = back(v), torch.zeros_like(weight)
        for row, value in zip(x, v, strict=True):
            to_weight.get_parameter("weight").copy_(value)
            permuted[1].add_(to_weight(row[None])[0])
    checked = torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(exact, {"weight": w}, (x,)),
        (x.detach()[:2].double().requires_grad_(), (exact := module.double()).get_parameter("weight")),
        raise_exception=False,
    )
    pairs = zip((by_input, by_weight), expected, permuted, strict=True)
    gaps = [(_gap(a, b), _gap(a, c)) for a, b, c in pairs]
    return _gap(ours, theirs), max(g[0] for g in gaps), max(g[1] for g in gaps), checked


def _gap(a: Tensor, b: Tensor) -> float:
    return float(((a - b).abs().max() / b.abs().max()).detach())
