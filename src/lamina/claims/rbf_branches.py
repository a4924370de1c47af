"""Branches of radial basis functions over past states follow a chaotic attractor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.rbf_branches import RBFBranches
from lamina.networks.size import solve_width
from lamina.networks.tables.mlp import MLP
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

ONE = "error of one step (standard deviations of a step)"
ROLLED = "error over 100 recursive predictions (standard deviations)"
VALID = "steps until the error exceeds 0.4 standard deviations"
RATES = (3e-3, 1e-2, 3e-2)
WINDOW, STATE, HORIZON, STEP = 3, 3, 100, 0.02


class Branches(nn.Module):
    """The layer on a window of states, of which its last output is taken."""

    def __init__(self, branches: int, units: int) -> None:
        super().__init__()
        self.layer = RBFBranches(STATE, STATE, branches=branches, units=units, window=WINDOW)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.unflatten(-1, (WINDOW, STATE)))[..., -1, :]


class LSTM(nn.Module):
    """Long short-term memory over the window, and a linear head."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.gates, self.head = nn.Linear(STATE + units, 4 * units), nn.Linear(units, STATE)

    def forward(self, x: Tensor) -> Tensor:
        hidden = cell = x.new_zeros(len(x), self.head.in_features)
        for state in x.unflatten(-1, (WINDOW, STATE)).unbind(-2):
            gates, candidate = self.gates(torch.cat([state, hidden], -1)).tensor_split([3 * hidden.shape[-1]], -1)
            let_in, keep, let_out = gates.sigmoid().chunk(3, -1)
            cell = keep * cell + let_in * candidate.tanh()
            hidden = let_out * cell.tanh()
        return self.head(hidden)


def sized(build: Callable[[int], nn.Module], in_features: int, out_features: int, *, params: int) -> nn.Module:
    """The network of the size that comes nearest to the budget."""
    return build(solve_width(build, params))


@claim(
    says="Parallel layers of radial basis functions, joined by attention, predict a chaotic attractor recursively for "
    "100 steps.",
    where="abstract",
    system=partial(sized, partial(Branches, 3)),
    baselines={
        "single branch": partial(sized, partial(Branches, 1)),
        "mlp": partial(sized, lambda width: MLP(WINDOW * STATE, STATE, width=width)),
        "lstm": partial(sized, LSTM),
    },
    params=1_500,
    targets=(
        Target(ONE, "ratio", at_most=1.0, against="single branch"),
        Target(VALID, "ratio", at_least=1.0, against="single branch"),
        Target(ROLLED, "value", at_most=0.4),
    ),
    data="the Lorenz system in its chaotic state, steps of 0.02: 3,000 windows of three states and what follows them "
    "to learn from, 1,000 to choose by, 1,000 to test on (quick: a third), 200 of them as starts of 100 recursive "
    "predictions",
    reported="Predictions of 100 steps of an attractor, after training on 36,700 observations of about 28 minutes.",
    limits="The Lorenz system in place of the paper's data, no double pendulum; 1,500 parameters. All networks predict "
    "the difference to the next state. The perceptron and the LSTM are measured beside the single branch; no target is "
    "set against them, as the paper compares with a single branch.",
)
def lorenz(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Of three learning rates the validation loss takes one; the valid time is the mean over the starts."""
    rng = np.random.default_rng(seed)
    part = scale.pick(quick=300, full=1_000)
    states = torch.from_numpy(_lorenz(rng, 5 * part, WINDOW + HORIZON)).float()
    train, validation, test = np.split(np.arange(5 * part), [3 * part, 4 * part])
    states = (states - states[train].mean((0, 1))) / states[train].std((0, 1))
    x, steps = states[:, :WINDOW].flatten(1), states[:, WINDOW] - states[:, WINDOW - 1]
    unit = steps[train].std(0)
    members = [Member(Setting(rate, 0.0, 0.0), seed, train, validation) for rate in RATES]
    recipe = Recipe(steps=scale.pick(quick=80, full=1_500), batch_size=128, patience=1.0, checks=10)
    networks = [arm(WINDOW * STATE, STATE, seed=seed)] * len(RATES)
    fitted = arm.fit(networks, x, steps / unit, members=members, recipe=recipe, seed=seed)
    best, starts = fitted.fleet.module(fitted.best), states[test[:200]]
    with torch.no_grad():
        one = (best(x[test]) - steps[test] / unit).square().mean().sqrt()
        past, errors = starts[:, :WINDOW], []
        for truth in starts[:, WINDOW:].unbind(1):
            state = (past[:, -1] + unit * best(past.flatten(1))).clamp(-5, 5)
            past = torch.cat([past[:, 1:], state.unsqueeze(1)], 1)
            errors.append((state - truth).square().mean(1))
    error = torch.stack(errors, 1)
    valid = (error.sqrt() < 0.4).int().cumprod(1).sum(1).double().mean()
    return {ONE: float(one), ROLLED: float(error.mean().sqrt()), VALID: 1 + float(valid)}


def _lorenz(rng: np.random.Generator, rows: int, length: int) -> np.ndarray:
    """Trajectories of their own, on the attractor, by the Runge-Kutta method of fourth order."""

    def slope(s: np.ndarray) -> np.ndarray:
        x, y, z = s.T
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)

    state, found = rng.normal((0, 0, 25), 1, (rows, 3)), []
    for step in range(400 + length):
        k1 = slope(state)
        k2 = slope(state + STEP / 2 * k1)
        k3 = slope(state + STEP / 2 * k2)
        state = state + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + slope(state + STEP * k3))
        if step >= 400:
            found.append(state)
    return np.stack(found, 1)
