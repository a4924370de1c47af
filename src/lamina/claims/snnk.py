"""Random features of inputs, and a trained product in place of weights: a fifth of the parameters, or no training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from lamina.claims._digits import images
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.random_features import RandomFeaturesLinear
from lamina.layers.snnk import SNNKLinear
from lamina.networks.size import count_params, solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

SLOPE = "distance from -0.5 of the slope of log error against log terms"
ONE, ALL = "accuracy with one hidden layer swapped", "accuracy with all hidden layers swapped"
GRADIENT = "relative gradient of the squared error at the solution of a bundled network"


class Sine(nn.Module):
    """A dense layer's sine, of inputs at unit length with the constant that the estimates have."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x / (x.square().sum(-1, keepdim=True) + x.shape[-1]).sqrt()).sin()


def snnk(
    in_features: int, out_features: int, *, swapped: str, width: int = 0, terms: int = 0, like: nn.Linear | None = None
) -> nn.Module:
    """A layer that estimates another, a bundle of two, or a perceptron with some hidden layers swapped."""
    if like is not None:
        return SNNKLinear.estimating(like, terms=terms)
    if swapped == "bundled":
        return SNNKLinear(in_features, out_features, terms=terms, depth=2)

    def build(terms: int) -> nn.Module:
        swap = partial(SNNKLinear, terms=terms)
        return nn.Sequential(
            swap(in_features, width) if swapped == "all" else dense(in_features, width),
            swap(width, width),
            nn.Linear(width, out_features),
        )

    with torch.device("meta"):
        whole = count_params(perceptron(in_features, out_features, swapped="", width=width))
        one = count_params(dense(width, width))
    budget = whole // 5 if swapped == "all" else whole - one + one // 5
    return build(solve_width(build, budget))


def perceptron(
    in_features: int, out_features: int, *, swapped: str, width: int = 0, terms: int = 0, like: nn.Linear | None = None
) -> nn.Module:
    """The dense layer itself, frozen ReLU layers in place of a bundle, or a perceptron with two hidden layers."""
    if like is not None:
        return Sine(like)
    if swapped == "bundled":
        return RandomFeaturesLinear(in_features, out_features, hidden=2 * terms, depth=2)
    return nn.Sequential(dense(in_features, width), dense(width, width), nn.Linear(width, out_features))


def dense(in_features: int, out_features: int) -> nn.Module:
    """A dense layer with ReLU."""
    return nn.Sequential(nn.Linear(in_features, out_features), nn.ReLU())


@claim(
    says="Random features of the input whose product with trained ones stands for a layer estimate it without bias, "
    "need up to five times fewer parameters at a competitive accuracy, and bundle into one layer that is optimal in "
    "closed form.",
    where="abstract",
    system=snnk,
    baselines={"mlp": perceptron},
    targets=(
        Target(SLOPE, "value", at_most=0.15),
        Target(ONE, "difference", at_least=-0.01),
        Target(ALL, "difference", at_least=-0.01),
        Target(GRADIENT, "every value", at_most=1e-8),
    ),
    data="normal inputs and weights of norm 1/2 for the estimates; full: 10,000 digits of MNIST, their inner 20 x 20 "
    "pixels, 2,000 of them to choose by, and 5,000 of its test part; quick: the 1,797 of scikit-learn",
    reported="up to five times fewer trainable parameters at competitive accuracy, for adapters in transformers",
    limits="Perceptrons with two hidden layers of 256 units (quick: 64) in place of transformers that have been "
    "trained before. With one layer swapped, its parameters are a fifth; with all, those of the network. Only sines, "
    "of inputs at unit length, as in the authors' code.",
    unequal="that a fifth of the parameters is enough is the statement; a dense layer has no terms",
)
def estimates(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Three parts: estimates of a random layer, trained networks, and a network that is solved for."""
    x, y, test = images(seed, scale)
    train = trained(arm, seed, scale, x, y, test)
    return {SLOPE: slope(arm, seed, scale), ONE: train("one"), ALL: train("all"), GRADIENT: solved(arm, seed, x, y)}


def slope(arm: Arm, seed: int, scale: Scale) -> float:
    """By how much the slope of the error differs from -1/2, over draws of the random features."""
    generator = torch.Generator().manual_seed(seed)
    linear, x = nn.Linear(16, 32), torch.randn(200, 16, generator=generator)
    with torch.no_grad():
        linear.weight.copy_(nn.functional.normalize(torch.randn(32, 16, generator=generator)) / 2)
        linear.bias.copy_(torch.randn(32, generator=generator))
    terms, draws = (64, 128, 256, 512, 1_024), scale.pick(quick=10, full=100)
    exact = Sine(linear)(x)
    errors = [
        [
            (arm(16, 32, seed=1_000 * seed + i, swapped="", terms=m, like=linear)(x) - exact).square().mean().item()
            for i in range(draws)
        ]
        for m in terms
    ]
    with np.errstate(all="ignore"):
        logs = np.log(np.mean(errors, axis=1)) / 2
    return abs(float(np.polyfit(np.log(terms), logs, 1)[0]) + 0.5) if np.isfinite(logs).all() else np.inf


def trained(arm: Arm, seed: int, scale: Scale, x: Tensor, y: Tensor, test: int) -> Callable[[str], float]:
    """What gives the test accuracy at the best of three learning rates, chosen by the validation loss."""
    order = np.random.default_rng(seed).permutation(test)
    known, validation = np.split(order, [test * 4 // 5])
    settings = [Setting(rate, 0.0, 0.0) for rate in scale.pick(quick=(3e-3, 1e-2), full=(1e-3, 3e-3, 1e-2))]
    members = [Member(setting, seed, known, validation) for setting in settings]
    recipe = Recipe(steps=scale.pick(quick=100, full=400), batch_size=64, patience=1.0, checks=5)
    width = scale.pick(quick=64, full=256)

    def accuracy(swapped: str) -> float:
        networks = [arm(x.shape[1], 10, seed=seed, swapped=swapped, width=width)] * len(settings)
        fitted = arm.fit(networks, x, y, members=members, recipe=recipe)
        right = fitted.fleet.module(fitted.best)(x[test:]).argmax(1) == y[test:]
        return float(right.double().mean())

    return accuracy


def solved(arm: Arm, seed: int, x: Tensor, y: Tensor) -> float:
    """The gradient of the squared error after solving, by that before."""
    x, target = x[:1_000].double(), nn.functional.one_hot(y[:1_000], 10).double()
    network = arm(x.shape[1], 10, seed=seed, swapped="bundled", terms=64).double()

    def gradient() -> float:
        loss = (network(x) - target).square().sum()
        return float(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))]).norm())

    before = gradient()
    network.solve(x, target, ridge=1e-9)  # pyright: ignore[reportCallIssue]
    return gradient() / before if before > 0 else np.inf
