"""A network whose weights are waves of distances between points does as well as a dense one of ten times its size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from lamina.claims._digits import images
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.pcn import PCNLinear
from lamina.networks.size import count_params, solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

ACCURACY, PARAMS = "test accuracy", "parameters"


def points(in_features: int, out_features: int, *, width: int, dimensions: int) -> nn.Module:
    """Point cloud layers throughout, as in the paper."""
    layer = partial(PCNLinear, dimensions=dimensions)
    return nn.Sequential(
        layer(in_features, width), layer(width, width), layer(width, out_features, activation="identity")
    )


def dense(in_features: int, out_features: int, *, width: int, dimensions: int) -> nn.Module:
    """Dense layers with ReLU."""
    return perceptron(nn.Linear, in_features, out_features, width)


def low_rank(in_features: int, out_features: int, *, width: int, dimensions: int) -> nn.Module:
    """Hidden layers of two factors each, and a dense last layer; the rank meets the parameters of `points`."""

    def build(rank: int) -> nn.Module:
        return perceptron(partial(factors, rank), in_features, out_features, width)

    with torch.device("meta"):
        params = count_params(points(in_features, out_features, width=width, dimensions=dimensions))
    return build(solve_width(build, params))


def perceptron(layer: Callable[[int, int], nn.Module], in_features: int, out_features: int, width: int) -> nn.Module:
    """Two hidden layers of one kind with ReLU, and a dense last layer."""
    hidden = (nn.Sequential(layer(a, b), nn.ReLU()) for a, b in pairwise((in_features, width, width)))
    return nn.Sequential(*hidden, nn.Linear(width, out_features))


def factors(rank: int, in_features: int, out_features: int) -> nn.Module:
    """A linear map of that rank; its weights have the variance of the points' at the start."""
    first, second = nn.Linear(in_features, rank, bias=False), nn.Linear(rank, out_features)
    nn.init.normal_(first.weight, std=in_features**-0.5)
    nn.init.normal_(second.weight, std=(2 / rank) ** 0.5)
    return nn.Sequential(first, second)


@claim(
    says="With points of 16 dimensions in place of weights a network is as accurate as the dense one, and has a small "
    "part of its parameters.",
    where="abstract, and the author's table of results",
    system=points,
    baselines={"dense": dense, "low rank": low_rank},
    targets=(
        Target(ACCURACY, "difference", at_least=-0.03, against="dense"),
        Target(ACCURACY, "difference", at_least=0.0, against="low rank"),
        Target(PARAMS, "ratio", at_most=0.1, against="dense"),
    ),
    data="full: 10,000 digits of MNIST, their inner 20 x 20 pixels, 2,000 of them to choose by, and 5,000 of its test "
    "part; quick: the 1,797 of scikit-learn",
    reported="AlexNet on CIFAR-10 and CIFAR-100, test accuracy with points 78.9 % and 43.7 %, without 78.6 % and 47.5 "
    "%, with 0.3 and 55 million parameters in its dense layers; dense layers alone on CIFAR-10, 53.0 % and 52.1 %",
    limits="MNIST in place of CIFAR, two hidden layers of 512 units (quick: 256, and points of 6 dimensions) and no "
    "convolutions; AdamW for some hundred steps in place of the author's descent with a rate of its own for points. A "
    "layer has points of its own, where the paper's share those of the units between them, which needs half as many.",
    unequal="that points need a tenth of the dense network's parameters is the statement; those of low rank have as "
    "many",
)
def digits(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The accuracy at the best of some learning rates, chosen by the validation loss, and the parameters."""
    x, y, test = images(seed, scale)
    order = np.random.default_rng(seed).permutation(test)
    train, validation = np.split(order, [len(order) * 4 // 5])
    width, dimensions = scale.pick(quick=(256, 6), full=(512, 16))
    settings = [Setting(rate, 0.0, 0.0) for rate in scale.pick(quick=(3e-3, 1e-2), full=(2e-3, 5e-3, 1e-2))]
    fitted = arm.fit(
        [arm(x.shape[1], 10, seed=seed, width=width, dimensions=dimensions)] * len(settings),
        x,
        y,
        members=[Member(setting, seed, train, validation) for setting in settings],
        recipe=Recipe(steps=scale.pick(quick=100, full=300), batch_size=64, patience=1.0, checks=5),
    )
    right = fitted.fleet.module(fitted.best)(x[test:]).argmax(1) == y[test:]
    return {ACCURACY: float(right.double().mean()), PARAMS: float(arm.params[-1])}
