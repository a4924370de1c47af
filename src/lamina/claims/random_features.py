"""Frozen random layers approximate functions with as many units as their norm under the network's kernel asks for."""

from __future__ import annotations

import numpy as np
import torch
from numpy.polynomial.legendre import Legendre
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.random_features import RandomFeaturesLinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

SLOPE = "slope of log error against log units"
GROWTH = "error with a norm of 48 by that with a norm of 3"
KERNEL = "relative distance to exact kernel regression at the largest width"
TRAINED = "relative error of a trained network where the norm is 496"
RATES = (3e-3, 1e-2, 3e-2)


def random_features(in_features: int, out_features: int, *, hidden: int, trained: bool = False) -> nn.Module:
    """One hidden ReLU layer, frozen or `trained`."""
    if not trained:
        return RandomFeaturesLinear(in_features, out_features, hidden=hidden)
    return nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, out_features))


@claim(
    says="Functions with a norm in the Hilbert space of a network's Gaussian process are approximated by random hidden "
    "layers and a trained last one, with an error of that norm by the root of the units; trained networks also learn "
    "functions for which the norm guarantees nothing.",
    where="abstract",
    system=random_features,
    targets=(
        Target(SLOPE, "value", at_most=-0.35),
        Target(GROWTH, "value", at_least=1.5),
        Target(KERNEL, "value", at_most=0.1),
        Target(TRAINED, "value", at_most=0.2, scale="full"),
    ),
    data="points drawn evenly from the sphere of three dimensions; Legendre polynomials of degrees 1, 3 and 8 in a "
    "random direction, of variance 1, whose norms under the kernel of one ReLU layer with biases are 3, 48 and 496",
    reported="realistic networks easily learn functions for which no theorem gives a guarantee",
    limits="One hidden layer, polynomials of one projection, 64 to 1,024 units (quick: 32 to 256). The error is to "
    "fall at least as the root of the units does, since the theorem is a bound. The comparison with Barron's number of "
    "units is left out: it is one of two theorems and has nothing to measure.",
)
def sphere(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""Errors of last layers that are solved for, on new points.

    Each width is drawn eight times. The slope is the mean of those of the two lower norms; the growth is the geometric
    mean over the widths. The distance is between two predictions from 200 values with noise of deviation 1/2 and a
    penalty of 1, that of many units and that of their kernel

    .. math:: k(x, x') = \frac{1}{\pi} \big(\sin\theta + (\pi - \theta) \cos\theta\big),
              \qquad \cos\theta = \tfrac12 (1 + x \cdot x')

    for points of norm 1, which the layer gets times :math:`\sqrt 3`.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((5_000, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    direction = rng.standard_normal(3)
    values = [np.sqrt(2 * k + 1) * Legendre.basis(k)(x @ direction / np.linalg.norm(direction)) for k in (1, 3, 8)]
    points, y = torch.from_numpy(x * np.sqrt(3)).float(), torch.tensor(np.stack(values, 1), dtype=torch.float32)
    known, new = slice(0, 2_000), slice(3_000, None)
    widths = scale.pick(quick=(32, 64, 128, 256), full=(64, 128, 256, 512, 1_024))
    draws = [int(draw) for draw in rng.integers(2**31, size=8)]
    errors = np.array([solved(arm, draws, h, points[known], y[known, :2], points[new], y[new, :2]) for h in widths])
    found = {
        SLOPE: float(np.polyfit(np.log(widths), np.log(errors), 1)[0].mean()),
        GROWTH: float(np.exp(np.log(errors[:, 1] / errors[:, 0]).mean())),
        KERNEL: distance(arm, seed, scale.pick(quick=4_096, full=16_384), x, values[1], rng),
    }
    if scale.reaches("full"):
        members = [Member(Setting(rate, 0.0, 0.0), seed, np.arange(2_000), np.arange(2_000, 3_000)) for rate in RATES]
        networks = [arm(3, 1, seed=seed, hidden=256, trained=True)] * len(RATES)
        recipe = Recipe(steps=8_000, batch_size=64, patience=1.0)
        fitted = arm.fit(networks, points, y[:, 2], members=members, recipe=recipe)
        found[TRAINED] = rms(fitted.fleet.module(fitted.best)(points[new])[:, 0] - y[new, 2])
    return found


def solved(arm: Arm, draws: list[int], hidden: int, x: Tensor, y: Tensor, new: Tensor, truth: Tensor) -> list[float]:
    """The geometric mean error of each column over draws of the frozen layer, after the last one was solved for."""
    found = []
    for draw in draws:
        network = arm(x.shape[1], y.shape[1], seed=draw, hidden=hidden)
        network.solve(x, y, ridge=1e-3)  # pyright: ignore[reportCallIssue]
        found.append([rms(column) for column in (network(new) - truth).T])
    return np.exp(np.log(found).mean(0)).tolist()


def distance(arm: Arm, seed: int, hidden: int, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> float:
    """Between the predictions of many units and of their kernel, by the size of the latter."""
    x, new = x[:200], x[3_000:4_000]
    y = y[:200] + 0.5 * rng.standard_normal(200)
    # a bias without penalty is a kernel that is centred on the rows
    gram, across = kernel(x, x), kernel(new, x)
    across, gram = (k - k.mean(1, keepdims=True) - gram.mean(0) + gram.mean() for k in (across, gram))
    exact = y.mean() + across @ np.linalg.solve(gram + np.eye(200), y - y.mean())
    network = arm(3, 1, seed=seed, hidden=hidden)
    inputs, outputs = (torch.from_numpy(a).float() for a in (x * np.sqrt(3), y[:, None]))
    network.solve(inputs, outputs, ridge=1.0)  # pyright: ignore[reportCallIssue]
    found = network(torch.from_numpy(new * np.sqrt(3)).float())[:, 0]
    return rms(found - torch.from_numpy(exact)) / float(np.sqrt(np.mean(exact**2)))


def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The arc-cosine kernel of points on the sphere, weights and bias of variance 1."""
    cosine = np.clip((1 + a @ b.T) / 2, -1, 1)
    return (np.sqrt(1 - cosine**2) + (np.pi - np.arccos(cosine)) * cosine) / np.pi


def rms(x: Tensor) -> float:
    """The root of the mean square."""
    return float(x.detach().square().mean().sqrt())
