"""One hidden layer of Cauchy activations approximates functions better than perceptrons and splines of its size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.kan import KANLinear
from lamina.layers.xnet import XNetLinear
from lamina.networks.size import solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

STEPS, SMOOTH = "test error on steps", "test error on smooth functions"
ROWS, LEARNT = 1_000, 800


def shallow(hidden: Callable[[int, int], nn.Module], in_features: int, out_features: int, *, params: int) -> nn.Module:
    """One hidden layer and a linear head."""

    def build(width: int) -> nn.Module:
        return nn.Sequential(hidden(in_features, width), nn.Linear(width, out_features))

    return build(solve_width(build, params))


def dense(activation: Callable[[], nn.Module], in_features: int, out_features: int) -> nn.Module:
    """A dense layer with a fixed activation."""
    return nn.Sequential(nn.Linear(in_features, out_features), activation())


def kan(in_features: int, out_features: int, *, params: int) -> nn.Module:
    """Two layers of splines and nothing else; the first one's grid covers the square."""

    def build(width: int) -> nn.Module:
        return nn.Sequential(KANLinear(in_features, width, limit=1.0), KANLinear(width, out_features))

    return build(solve_width(build, params))


@claim(
    says="A shallow network of Cauchy activations is more accurate than perceptrons and than KAN, for functions with "
    "jumps and for smooth ones.",
    where="abstract",
    system=partial(shallow, XNetLinear),
    baselines={
        "relu": partial(shallow, partial(dense, nn.ReLU)),
        "tanh": partial(shallow, partial(dense, nn.Tanh)),
        "kan": kan,
    },
    params=450,
    targets=(
        Target(STEPS, "ratio", at_most=0.1, against="relu"),
        Target(STEPS, "ratio", at_most=1.0, against="kan"),
        Target(SMOOTH, "ratio", at_most=0.1, against="relu"),
        Target(SMOOTH, "ratio", at_most=1.0, against="kan"),
    ),
    data="1,000 rows, evenly from the square [-1, 1]^2, of the indicators of a half-plane and of a disc, and of "
    "exp(sin(pi x) + y^2) and x y, without noise; 2,000 others for the test",
    reported="smaller errors than MLP and KAN for functions with jumps and for functions of many variables",
    limits="450 parameters, one optimiser (AdamW) and 2,000 steps (quick: 100); two variables only, and no "
    "series, so that nothing is said about LSTM; times are not measured. The perceptron with tanh is measured and has "
    "no target.",
)
def approximation(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The mean squared error by the variance, the geometric mean of two functions.

    Each function is learnt from 800 rows at each of three learning rates (quick: two); the one with the lowest error
    on 200 further rows is tested.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (4, ROWS + 2_000, 2))
    y = np.stack([function(rows[:, 0], rows[:, 1], rng) for function, rows in zip(FUNCTIONS, x, strict=True)])
    y = (y - y[:, :ROWS].mean(1, keepdims=True)) / y[:, :ROWS].std(1, keepdims=True)
    known = torch.from_numpy(x[:, :ROWS]).float().flatten(0, 1)
    settings = [Setting(rate, 0.0, 0.0) for rate in scale.pick(quick=(1e-2, 3e-2), full=(3e-3, 1e-2, 3e-2))]
    parts = [np.arange(ROWS) + ROWS * i for i in range(4)]
    members = [Member(setting, seed, part[:LEARNT], part[LEARNT:]) for part in parts for setting in settings]
    recipe = Recipe(steps=scale.pick(quick=100, full=2_000), batch_size=64, patience=1.0)
    networks = [arm(2, 1, seed=seed)] * len(members)
    fitted = arm.fit(networks, known, torch.from_numpy(y[:, :ROWS]).float().flatten(), members=members, recipe=recipe)
    best = np.reshape([trace.loss for trace in fitted.traces], (4, -1)).argmin(1) + len(settings) * np.arange(4)
    tests, truths = (torch.from_numpy(part[:, ROWS:]).float() for part in (x, y))
    outputs = [fitted.fleet.module(int(i))(test)[:, 0].detach() for i, test in zip(best, tests, strict=True)]
    errors = [float((a - b).square().mean()) for a, b in zip(outputs, truths, strict=True)]
    return {STEPS: float(np.sqrt(errors[0] * errors[1])), SMOOTH: float(np.sqrt(errors[2] * errors[3]))}


def half_plane(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heaviside's function of a random direction."""
    angle, shift = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    return np.heaviside(x * np.cos(angle) + y * np.sin(angle) - shift, 0.5)


def disc(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Heaviside's function of the distance from a random centre."""
    a, b = rng.uniform(-0.3, 0.3, 2)
    return np.heaviside(0.6 - np.hypot(x - a, y - b), 0.5)


def exponential(x: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """exp(sin(pi x) + y^2)."""
    return np.exp(np.sin(np.pi * x) + y**2)


def product(x: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """x y."""
    return x * y


FUNCTIONS = (half_plane, disc, exponential, product)
