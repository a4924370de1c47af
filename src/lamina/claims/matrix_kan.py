"""B-splines without the recursion of Cox and de Boor give the same KAN with less arithmetic at a high degree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.kernels.bspline import tiled_edges
from lamina.layers.kan import KANLinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

DIFFERENCE = "difference from the recursion in outputs and gradients"
WORK = "numbers computed for an input, degree 10"
ERROR = "test RMSE of trained networks"
aten = torch.ops.aten
DEGREES, RATES = range(2, 9), (3e-3, 1e-2, 3e-2)


class Recursive(KANLinear):
    """The same layer with the recursion of Cox and de Boor."""

    def edges(self, x: Tensor) -> Tensor:
        u = ((x - self.low) * (self.grid / (self.high - self.low))).clamp(0, self.grid).unsqueeze(-2)
        knots = torch.arange(-self.degree, self.grid + self.degree + 1, device=x.device, dtype=x.dtype).unsqueeze(-1)
        splines = ((u >= knots[:-1]) & (u < knots[1:])).to(x.dtype)
        for k in range(1, self.degree + 1):
            rising, falling = u - knots[: -k - 1], knots[k + 1 :] - u
            splines = (rising * splines[..., :-1, :] + falling * splines[..., 1:, :]) / k
        return torch.cat([F.silu(x).unsqueeze(-2), splines], dim=-2)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.edges(x).flatten(-2), self.weight.flatten(1))


def maker(layer: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """What makes one layer of a degree or, at a width, two of them."""

    def make(in_features: int, out_features: int, *, degree: int, width: int | None = None) -> nn.Module:
        if width is None:
            return layer(in_features, out_features, degree=degree)
        return nn.Sequential(layer(in_features, width, degree=degree), layer(width, out_features, degree=degree))

    return make


class Work(TorchDispatchMode):
    """Counts the numbers that operations put out, those of a matrix product once for each product in their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.lamina.spline_edges.default:
            with self:  # look into the operator
                return tiled_edges(*args)
        found = func(*args, **(kwargs or {}))
        sums = args[-1].shape[-2] if func.overloadpacket in (aten.mm, aten.addmm, aten.bmm) else 1
        self.numbers += sum(t.numel() for t in tree_leaves(found) if isinstance(t, Tensor)) * sums * (not func.is_view)
        return found


@claim(
    says="A KAN whose B-splines are powers within an interval times a matrix of constants, instead of the recursion of "
    "Cox and de Boor, computes and learns the same, much faster where the degree of the splines is high.",
    where="abstract",
    paper="Coffman and Chen 2025, MatrixKAN: Parallelized Kolmogorov-Arnold Network, arXiv:2502.07176",
    system=maker(KANLinear),
    baselines={"recursion": maker(Recursive)},
    targets=(
        Target(DIFFERENCE, "every value", at_most=1e-10),
        Target(WORK, "ratio", at_most=1 / 3),
        Target(ERROR, "ratio", at_most=1.02),
    ),
    data="Layers with 6 standard normal inputs times 1.5, so that some lie beyond the grid; exp(sin(pi x) + y^2) on "
    "400 rows drawn evenly from [-1, 1]^2 to learn from, 100 to choose by, 1,000 to test on",
    reported="About 40 times as fast as the recursion, on graphics processors; the same errors.",
    limits="Numbers of a claim do not depend on the machine, so arithmetic stands in for time: every number that an "
    "operation puts out, a matrix product's as often as it adds. benchmarks/layers.py has the times.",
)
def matrix_kan(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Differences in float64 over degrees 2 to 8 by the largest number of the recursion, arithmetic, trained errors.

    The errors are those of networks of 5 hidden units, the geometric mean over the degrees, each at the best of three
    learning rates.
    """
    layers = [arm(6, 4, seed=seed, degree=degree).double() for degree in DEGREES]
    tenth, x = arm(64, 1, seed=seed, degree=10), torch.randn(32, 64, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        tenth(x)  # what is made once and kept is not counted
        with Work() as work:
            tenth(x)
    degrees = scale.pick(quick=(5,), full=(3, 5, 8))
    errors = [_error(arm, degree, seed, scale) for degree in degrees]
    return {
        DIFFERENCE: max(_difference(layer, degree, seed) for layer, degree in zip(layers, DEGREES, strict=True)),
        WORK: work.numbers / (32 * 64),
        ERROR: float(np.exp(np.log(errors).mean())),
    }


def _difference(layer: nn.Module, degree: int, seed: int) -> float:
    """Of outputs and of the gradients by inputs and weights of a random sum of the outputs."""
    generator = torch.Generator().manual_seed(seed)
    x = 1.5 * torch.randn(64, 6, generator=generator, dtype=torch.float64)
    weights = torch.randn(64, 4, generator=generator, dtype=torch.float64)
    recursion = Recursive(6, 4, degree=degree).double()
    recursion.load_state_dict(layer.state_dict())
    found = []
    for module in (layer, recursion):
        inputs = x.clone().requires_grad_()
        y = module(inputs)
        found.append([y, *torch.autograd.grad((weights * y).sum(), [inputs, *module.parameters()])])
    gaps = [((ours - theirs).abs().max() / theirs.abs().max()).item() for ours, theirs in zip(*found, strict=True)]
    return max(gaps)


def _error(arm: Arm, degree: int, seed: int, scale: Scale) -> float:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (1_500, 2))
    y = np.exp(np.sin(np.pi * x[:, 0]) + x[:, 1] ** 2)
    x, y = torch.from_numpy(3 * x).float(), torch.from_numpy((y - y[:500].mean()) / y[:500].std()).float()
    train, validation, test = np.split(np.arange(1_500), (400, 500))
    network = arm(2, 1, seed=seed, degree=degree, width=5)
    fitted = arm.fit(
        [network] * len(RATES),
        x,
        y,
        members=[Member(Setting(rate, 0.0, 0.0), seed, train, validation) for rate in RATES],
        recipe=Recipe(steps=scale.pick(quick=80, full=600), batch_size=64, patience=1.0, checks=10),
    )
    with torch.no_grad():
        output = fitted.fleet.module(fitted.best)(x[test])[:, 0]
    return float((output - y[test]).square().mean().sqrt())
