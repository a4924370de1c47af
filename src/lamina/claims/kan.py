"""Splines on edges fit smooth functions with fewer parameters than a perceptron, and gain more from further ones."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from scipy.special import j0
from torch import nn

from lamina.claims._lbfgs import minimise
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.kan import KANLinear
from lamina.networks.factory import create
from lamina.networks.kan.network import KAN

FUNCTIONS = (
    (1, lambda x: j0(20 * x[:, 0])),
    (2, lambda x: np.exp(np.sin(np.pi * x[:, 0]) + x[:, 1] ** 2)),
    (2, lambda x: x[:, 0] * x[:, 1]),
)
WIDTH = 5


def kan(in_features: int, out_features: int, *, params: int, after: KAN | None = None) -> nn.Module:
    """Two layers of splines; the budget sets the grid, and the first one covers [-1, 1]; `after` another, refined."""
    grid = round(params / (WIDTH * (in_features + out_features))) - 4
    if after is not None:
        return after.refine(grid)
    return KAN.of([KANLinear(in_features, WIDTH, grid=grid, limit=1.0), KANLinear(WIDTH, out_features, grid=grid)])


def mlp(in_features: int, out_features: int, *, params: int, depth: int, after: nn.Module | None = None) -> nn.Module:
    """A perceptron whose width meets the budget; `after` another, it starts as the same function with more units."""
    network = create("mlp", in_features=in_features, out_features=out_features, params=params, depth=depth)
    with torch.no_grad():
        for new, old in zip(network.parameters(), after.parameters() if after else (), strict=False):
            new[: len(old)] = 0.0
            new[tuple(map(slice, old.shape))] = old
    return network


@claim(
    says="Small networks of splines fit smooth functions better than perceptrons of their size, and their error falls "
    "faster as parameters are added, by a finer grid rather than by more units.",
    where="section 3.1 and figure 3.1",
    system=kan,
    baselines={"mlp": partial(mlp, depth=2), "mlp of 3 hidden layers": partial(mlp, depth=3)},
    targets=(
        Target("best relative RMSE", "ratio", at_most=1.0),
        Target("slope of log RMSE against log parameters", "difference", at_most=0.0),
    ),
    data="1,000 rows (quick: 300) drawn evenly from [-1, 1]^n of J0(20 x), exp(sin(pi x) + y^2) and x y, without "
    "noise; 2,000 others for the test",
    reported="Figure 3.1: the error falls with an exponent near -4 in most cases, that of perceptrons more slowly and "
    "to a plateau.",
    limits="The grids are fixed and do not follow the activations; one shape for all functions, 400 steps in all, "
    "three of the paper's five functions, at most 720 parameters. The perceptrons grow too, where the paper starts "
    "them anew.",
)
def scaling(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""Error and its fall over budgets of parameters :math:`P`, each network trained by equally many L-BFGS steps.

    A network starts as the function that the one of the budget before it has learnt.

    The relative RMSE is :math:`\sqrt{\overline{(f - \hat f)^2}} / \mathrm{std}(f)` on the test rows. Of each
    function the smallest over the budgets is taken, and the least-squares slope of its logarithm against
    :math:`\log P`; reported are the geometric mean of the former over the functions, and the mean of the latter.
    """
    budgets = scale.pick(quick=(90, 240), full=(90, 180, 360, 720))
    rows, steps = scale.pick(quick=300, full=1_000), scale.pick(quick=60, full=100)
    rng, errors = np.random.default_rng(seed), []
    for n, function in FUNCTIONS:
        x, test = rng.uniform(-1, 1, (rows, n)), rng.uniform(-1, 1, (2_000, n))
        y, truth = function(x), function(test)
        mean, std = y.mean(), y.std()
        network, found = None, []
        for params in budgets:
            network = arm(n, 1, seed=seed, params=params, after=network).double()
            fit(network, x, (y - mean) / std, steps)
            found.append(rmse(network, test, (truth - mean) / std))
            arm.steps += steps
        errors.append(found)
    logs = np.log(errors)
    slopes = np.polyfit(np.log(budgets), logs.T, 1)[0]
    return {
        "best relative RMSE": float(np.exp(logs.min(axis=1).mean())),
        "slope of log RMSE against log parameters": float(slopes.mean()),
    }


def fit(network: nn.Module, x: np.ndarray, y: np.ndarray, steps: int) -> None:
    """Least squares on all rows by L-BFGS, as in the paper."""
    inputs, targets = torch.as_tensor(x), torch.as_tensor(y)[:, None]
    minimise(network, lambda: (network(inputs) - targets).square().mean(), steps)


@torch.no_grad()
def rmse(network: nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """The root of the mean squared error."""
    return float((network(torch.as_tensor(x))[:, 0] - torch.as_tensor(y)).square().mean().sqrt())
