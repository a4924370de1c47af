"""B-splines without the recursion of Cox and de Boor give the same KAN with less arithmetic at a high degree."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.polynomial import Polynomial
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.kan import KANLinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

DIFFERENCE = "difference from the recursion in outputs and gradients"
WORK = "numbers computed for an input, degree 10"
ERROR = "test RMSE of trained networks"
aten = torch.ops.aten
DEGREES, RATES = range(2, 9), (3e-3, 1e-2, 3e-2)


def recursion(u: Tensor, grid: int, degree: int) -> Tensor:
    """All B-splines at places on a grid, by the recursion of Cox and de Boor."""
    u = u.unsqueeze(-2)
    knots = torch.arange(-degree, grid + degree + 1, device=u.device, dtype=u.dtype).unsqueeze(-1)
    splines = ((u >= knots[:-1]) & (u < knots[1:])).to(u.dtype)
    for k in range(1, degree + 1):
        rising, falling = u - knots[: -k - 1], knots[k + 1 :] - u
        splines = (rising * splines[..., :-1, :] + falling * splines[..., 1:, :]) / k
    return splines


def matrix(u: Tensor, grid: int, degree: int) -> Tensor:
    """The same by the paper's form: powers of the place in an interval times a matrix, where the interval is."""
    cell = u.detach().floor().clamp(max=grid - 1)
    orders = torch.arange(degree + 1, device=u.device)
    values = (u - cell).unsqueeze(-1).pow(orders) @ u.new_tensor(pieces(degree)).mT
    splines = values.new_zeros(*u.shape, grid + degree).scatter(-1, cell.long().unsqueeze(-1) + orders, values)
    return splines.mT


@cache
def pieces(degree: int) -> list[list[float]]:
    r"""Coefficients of the splines over one interval as polynomials of the place ``t`` in it.

    After Cox and de Boor, :math:`p\,B_{j,p} = (t + p - j)\,B_{j-1,p-1} + (1 + j - t)\,B_{j,p-1}`.
    """
    found = [Polynomial([1.0])]
    for p in range(1, degree + 1):
        nothing = Polynomial([0.0])
        pairs = zip([nothing, *found], [*found, nothing], strict=True)
        found = [
            (Polynomial([p - j, 1]) * left + Polynomial([1 + j, -1]) * right) / p
            for j, (left, right) in enumerate(pairs)
        ]
    return [piece.coef.tolist() for piece in found]


class Computed(KANLinear):
    """The layer with splines that are computed by a function."""

    def __init__(
        self, in_features: int, out_features: int, *, degree: int, splines: Callable[[Tensor, int, int], Tensor]
    ) -> None:
        super().__init__(in_features, out_features, degree=degree)
        self.splines = splines

    def forward(self, x: Tensor) -> Tensor:
        u = ((x - self.low) * (self.grid / (self.high - self.low))).clamp(0, self.grid)
        edges = torch.cat([F.silu(x).unsqueeze(-2), self.splines(u, self.grid, self.degree)], dim=-2)
        return F.linear(edges.flatten(-2), self.weight.flatten(1))


def maker(splines: Callable[[Tensor, int, int], Tensor]) -> Callable[..., nn.Module]:
    """What makes one layer of a degree or, at a width, two of them."""
    layer = partial(Computed, splines=splines)

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
        found = func(*args, **(kwargs or {}))
        sums = args[-1].shape[-2] if func.overloadpacket in (aten.mm, aten.addmm, aten.bmm) else 1
        self.numbers += sum(t.numel() for t in tree_leaves(found) if isinstance(t, Tensor)) * sums * (not func.is_view)
        return found


@claim(
    says="A KAN whose B-splines are powers within an interval times a matrix of constants, instead of the recursion of "
    "Cox and de Boor, computes and learns the same, much faster where the degree of the splines is high.",
    where="abstract",
    paper="Coffman and Chen 2025, MatrixKAN: Parallelized Kolmogorov-Arnold Network, arXiv:2502.07176",
    system=maker(matrix),
    baselines={"recursion": maker(recursion)},
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
    recursive = Computed(6, 4, degree=degree, splines=recursion).double()
    recursive.load_state_dict(layer.state_dict())
    found = []
    for module in (layer, recursive):
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
