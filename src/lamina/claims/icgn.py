"""The line integral of a single layer fits a convex gradient better than the gradient of a convex network."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.icgn import ICGNLinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

ERROR = "test RMSE (standard deviations of the field)"
ASYMMETRY = "asymmetry of the Jacobian, largest of 1,000 points"
EIGENVALUE = "smallest eigenvalue of the Jacobian on 1,000 points"
RATES = (3e-3, 1e-2, 3e-2, 1e-1)
PARAMS = 50


class ConvexGradient(nn.Module):
    """The gradient of an input-convex network of one hidden layer: softplus units, weighted by what is not negative."""

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.inner = nn.Linear(size, units)
        self.outer = nn.Parameter(torch.zeros(units))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.softplus(self.outer) * self.inner(x).sigmoid(), self.inner.weight.t(), self.bias)


def line_integral(in_features: int, out_features: int, *, params: int) -> nn.Module:
    """The system: three numbers for a unit of two inputs."""
    return ICGNLinear(in_features, out_features, units=(params - in_features) // (in_features + 1))


def convex_gradient(in_features: int, out_features: int, *, params: int) -> nn.Module:
    """Four numbers for a unit of two inputs."""
    return ConvexGradient(in_features, (params - in_features) // (in_features + 2))


@claim(
    says="An input convex gradient network of a single layer fits a toy example better than the gradient of an "
    "input-convex network of a single layer.",
    where="abstract",
    system=line_integral,
    baselines={"gradient of a convex network": convex_gradient},
    params=PARAMS,
    targets=(
        Target(ERROR, "ratio", at_most=1.0),
        Target(ASYMMETRY, "every value", at_most=1e-5),
        Target(EIGENVALUE, "every value", at_least=-1e-5),
    ),
    data="gradients of generated convex functions on the square from -1 to 1: the sum of a quadratic form, a quartic "
    "form of three random directions and a log-sum-exp of four random planes; 300 points to learn from, 200 to choose "
    "by, 1,000 to test on",
    reported="A single-layer network fits the toy example better; figures of it, read in the abstract only.",
    limits="Random convex functions of two variables and 50 parameters; the inner network's logistic function is ours. "
    "With one layer both are the transposed weights times sigmoid functions of the inner layer: they differ in the "
    "shape of the sigmoid, the weights of the units, and so in the number of units at equal parameters.",
)
def toy(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The error of the field, and the Jacobian of what was learnt.

    Several functions are learnt, each at four learning rates from the same initial weights; of these the validation
    loss takes one. The error is the geometric mean over the functions, asymmetry and eigenvalue are the worst of all.
    """
    n, functions = 1_500, scale.pick(quick=2, full=8)
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.uniform(-1, 1, (n, 2)))
    fields = torch.stack([_field(rng, x) for _ in range(functions)])
    fields = (fields - fields.mean((1, 2), keepdim=True)) / fields.std((1, 2), keepdim=True)
    members = [
        Member(Setting(rate, 0.0, 0.0), seed, np.arange(300) + n * f, np.arange(300, 500) + n * f)
        for f in range(functions)
        for rate in RATES
    ]
    networks = [arm(2, 2, seed=1_000 * seed + f) for f in range(functions) for _ in RATES]
    recipe = Recipe(steps=scale.pick(quick=300, full=3_000), batch_size=100, patience=1.0)
    rows = x.float().repeat(functions, 1)
    fitted = arm.fit(networks, rows, fields.flatten(0, 1).float(), members=members, recipe=recipe, seed=seed)
    best = np.reshape([trace.loss for trace in fitted.traces], (functions, -1)).argmin(1)
    errors, asymmetries, eigenvalues = [], [], []
    for f, rate in enumerate(best):
        network = fitted.fleet.module(f * len(RATES) + int(rate)).double()
        points = x[500:].clone().requires_grad_()
        output = network(points)
        errors.append((output - fields[f, 500:]).square().mean().sqrt().item())
        jacobian = torch.stack(
            [torch.autograd.grad(output[:, i].sum(), points, retain_graph=True)[0] for i in (0, 1)], 1
        )
        asymmetries.append((jacobian - jacobian.mT).abs().max().item())
        eigenvalues.append(torch.linalg.eigvalsh((jacobian + jacobian.mT) / 2).min().item())
    error = float(np.exp(np.log(errors).mean()))
    return {ERROR: error, ASYMMETRY: max(asymmetries), EIGENVALUE: min(eigenvalues)}


def _field(rng: np.random.Generator, x: Tensor) -> Tensor:
    """The gradient at `x` of a random convex function; each of its three parts is as large as the others."""
    root, directions, planes = (torch.from_numpy(rng.normal(size=(rows, 2))) for rows in (2, 3, 4))
    parts = [
        x @ root.T @ root,
        (x @ directions.T) ** 3 @ directions,
        (4 * x @ planes.T).softmax(1) @ planes,
    ]
    return sum((part / part.std() for part in parts), torch.zeros_like(x))
