"""No activation function is the best for every network and every data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import datasets
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.activations import ACTIVATIONS, ActivationLinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

COST = "test loss of one activation for all cells, by that of each cell's own"
SHARE = "share of the cells that the most frequent winner wins"
RATES = (5e-3, 2e-2)
FEATURES, CLASSES, WIDTH = 64, 10, 16
LEARN, CHOOSE = 400, 400  # rows; the others test


def perceptron(in_features: int, out_features: int, *, activation: str, depth: int) -> nn.Module:
    """`depth` hidden layers without normalisation, which would even out what activations do, and a linear head."""
    sizes = [in_features, *[WIDTH] * depth]
    hidden = [ActivationLinear(a, WIDTH, activation=activation) for a in sizes[:-1]]
    return nn.Sequential(*hidden, nn.Linear(WIDTH, out_features))


@claim(
    says="None of 18 activation functions wins everywhere: which one is the best depends on the network and the data.",
    where="abstract",
    system=perceptron,
    targets=(
        Target(COST, "value", at_least=1.02),
        Target(SHARE, "value", at_most=0.5),
    ),
    data="the digits of scikit-learn and 2,800 rows of a normal distribution in ten dimensions whose classes are three "
    "shells; at full also 2,800 rows in clusters of three classes. 400 rows to learn from, 400 to choose by, the rest "
    "to test on, drawn anew for each training.",
    reported="18 functions are compared with several networks on different kinds of data.",
    limits="Perceptrons of 16 units a layer with one and three hidden layers on small tables, in place of "
    "convolutional and recurrent networks; some hundred steps; at full 18 functions, two of which are not the paper's, "
    "at quick one of each of three families. A ranking of all functions does not fit into numbers for a verdict.",
)
def winners(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """What it costs to use one function everywhere, judged on other trainings than those that chose.

    A cell is a data set and a depth. Each function is trained in each cell at two learning rates, of which the
    validation loss takes one, several times with other rows and initial weights. One half of these trainings names the
    function with the lowest mean logarithm of the test loss over all cells, and that with the lowest one in each cell;
    the other half measures both. If a choice per cell were luck, the ratio of their losses would be 1 on average.
    """
    names = scale.pick(quick=("tanh", "relu", "gelu"), full=tuple(name for name in ACTIVATIONS if name != "identity"))
    draws = scale.pick(quick=2, full=4)
    tables = [_table(*source) for source in _sources(seed, scale)]
    losses = np.log([[_losses(arm, tables, name, depth, draws, seed, scale) for depth in (1, 3)] for name in names])
    halves = losses.reshape(len(names), -1, 2, draws // 2).mean(3)  # functions by cells by halves
    gaps = []
    for chosen, judged in ((halves[..., 0], halves[..., 1]), (halves[..., 1], halves[..., 0])):
        one, own = chosen.mean(1).argmin(), chosen.argmin(0)
        gaps.append(judged[one] - judged[own, np.arange(len(own))])
    wins = np.bincount(halves.mean(2).argmin(0))
    return {COST: float(np.exp(np.mean(gaps))), SHARE: float(wins.max() / wins.sum())}


def _losses(
    arm: Arm, tables: list[tuple[Tensor, Tensor]], name: str, depth: int, draws: int, seed: int, scale: Scale
) -> list[list[float]]:
    """Test losses of a function, data sets by draws."""
    members, parts, start = [], [], 0
    for x, _ in tables:
        for draw in range(draws):
            rows = start + np.random.default_rng((seed, start, draw)).permutation(len(x))
            train, validation, test = np.split(rows, [LEARN, LEARN + CHOOSE])
            parts.append(test)
            members += [Member(Setting(r, 1e-2, 0.0), draws * seed + draw, train, validation) for r in RATES]
        start += len(x)
    networks = [arm(FEATURES, CLASSES, seed=m.seed, activation=name, depth=depth) for m in members]
    x, y = torch.cat([x for x, _ in tables]), torch.cat([y for _, y in tables])
    recipe = Recipe(steps=scale.pick(quick=50, full=180), batch_size=32, patience=1.0, checks=10)
    fitted = arm.fit(networks, x, y, members=members, recipe=recipe, seed=seed)
    best = np.reshape([trace.loss for trace in fitted.traces], (-1, len(RATES))).argmin(1)
    found = []
    for number, (rate, test) in enumerate(zip(best, parts, strict=True)):
        network = fitted.fleet.module(number * len(RATES) + int(rate))
        found.append(F.cross_entropy(network(x[test]), y[test]).item())
    return np.reshape(found, (len(tables), draws)).tolist()


def _sources(seed: int, scale: Scale) -> list[Any]:
    few: list[Any] = [
        datasets.load_digits(return_X_y=True),
        datasets.make_gaussian_quantiles(n_samples=2_800, n_features=10, n_classes=3, random_state=seed),
    ]
    more: list[Any] = [
        datasets.make_classification(2_800, 10, n_informative=6, n_classes=3, flip_y=0.05, random_state=seed)
    ]
    return scale.pick(quick=few, full=few + more)


def _table(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
    """Standardised columns, filled up with zeros, and scaled so that rows are about as long in every data set."""
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    x = np.pad(x * np.sqrt(FEATURES / x.shape[1]), ((0, 0), (0, FEATURES - x.shape[1])))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.int64)
