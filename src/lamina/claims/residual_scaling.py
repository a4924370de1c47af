r"""Residual branches scaled by 1 / sqrt(depth) need no normalisation, unscaled ones explode."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

EXPANSION = "relative error of the sum over all subsets of layers"
GROWTH = "growth of the output's norm from depth 4 to 128"
RATE = "smallest growth rate of the output's norm (nats a layer)"
DESCENT = "test accuracy by gradient descent"
ADAMW = "test accuracy by AdamW with clipped gradients"
DEPTHS = (4, 8, 16, 32, 64, 128)
RATES = (1e-3, 1e-2, 3e-2)


class Tower(nn.Module):
    r"""Residual layers without normalisation or bias: :math:`h_{i+1} = h_i + \lambda W_i \phi(h_i)`.

    The weights have variance ``1 / width`` where :math:`\phi` is the identity and ``2 / width`` where it is ReLU, so
    that :math:`W_i \phi(h)` is as large as :math:`h` on average.
    """

    def __init__(
        self, in_features: int, out_features: int, *, width: int, depth: int, power: float, linear: bool = False
    ) -> None:
        super().__init__()
        self.branch_scale, self.linear = depth**-power, linear
        self.stem = nn.Linear(in_features, width, bias=False)
        self.weight = nn.Parameter(torch.randn(depth, width, width) * ((1 if linear else 2) / width) ** 0.5)
        self.head = nn.Linear(width, out_features, bias=False)

    def branch(self, weight: Tensor, h: Tensor) -> Tensor:
        """What a layer adds."""
        return self.branch_scale * ((h if self.linear else h.relu()) @ weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for weight in self.weight.unbind():
            h = h + self.branch(weight, h)
        return self.head(h)


@claim(
    paper="Dherin and Munn 2025, On residual network depth, arXiv:2510.03470",
    says="A residual network is the sum over all subsets of its layers, so its output explodes with depth unless every "
    "branch is scaled down, which then takes the place of normalisation.",
    where="abstract",
    system=partial(Tower, power=0.5),
    baselines={"unscaled": partial(Tower, power=0.0)},
    targets=(
        Target(EXPANSION, "every value", at_most=1e-6),
        Target(GROWTH, "value", at_most=3.0),
        Target(RATE, "difference", at_most=-0.2),
        Target(DESCENT, "difference", at_least=0.2),
        Target(ADAMW, "difference", at_least=0.2),
    ),
    data="the 1,797 digits of scikit-learn; 1,000 to train on, 297 to choose the learning rate, 500 to test on",
    reported="proofs; that networks without normalisation train when their branches are scaled",
    limits="Dense layers, small images and some hundred steps instead of convolutions. What does not train by gradient "
    "descent may do so by an optimiser whose steps do not grow with the gradient; both are measured and asked for. The "
    "scale 1 / n is not measured. Quick: 32 layers are trained instead of 128.",
    unequal="A network that diverges is not trained to the last step.",
)
def residual_scaling(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""Three measurements of a tower with branches scaled by :math:`\lambda`, on digits, in double precision, because
    squared gradients of the unscaled one overflow in single precision.

    - A linear tower of 8 layers: the largest deviation of its output from
      :math:`V \sum_S \prod_{i \in S} \lambda W_i\, h_0` over all 256 subsets :math:`S`, relative to the largest output.
    - Networks of 4, 8, ... 128 layers as they are drawn: the norm :math:`r_n` of 64 outputs for 200 rows. The growth
      is :math:`r_{128} / r_4`, the rate the smallest :math:`\ln(r_{2n} / r_n) / n`. In expectation :math:`r_n^2` is
      proportional to :math:`(1 + \lambda^2)^n`: at most e for :math:`\lambda^2 = 1 / n`, and a rate of 0.35 for 1.
    - A network of 128 layers (quick: 32), trained at three learning rates, by gradient descent with momentum and by
      AdamW with clipped gradients: each time the test accuracy at the rate with the lowest validation loss.
    """
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor((x - x.mean()) / x.std(), dtype=torch.float64), torch.from_numpy(y)
    norms = [_output_norm(arm, x[:200], depth, seed) for depth in DEPTHS]
    rates = [math.log(b / a) / depth for depth, (a, b) in zip(DEPTHS[:-1], pairwise(norms), strict=True)]
    return {
        EXPANSION: _expansion_error(arm, x[:10], seed),
        GROWTH: norms[-1] / norms[0],
        RATE: min(rates),
        DESCENT: _accuracy(arm, x, y, seed, scale, optimiser="sgd", clip=None),
        ADAMW: _accuracy(arm, x, y, seed, scale, optimiser="adamw", clip=1.0),
    }


@torch.no_grad()
def _expansion_error(arm: Arm, x: Tensor, seed: int) -> float:
    network = cast(Tower, arm(x.shape[1], 10, seed=seed, width=16, depth=8, linear=True).double())
    terms = [network.stem(x)]
    for weight in network.weight:
        terms += [network.branch(weight, term) for term in terms]
    output = network(x)
    return ((output - network.head(torch.stack(terms).sum(0))).abs().max() / output.abs().max()).item()


@torch.no_grad()
def _output_norm(arm: Arm, x: Tensor, depth: int, seed: int) -> float:
    return arm(x.shape[1], 64, seed=seed, width=64, depth=depth).double()(x).norm().item()


def _accuracy(arm: Arm, x: Tensor, y: Tensor, seed: int, scale: Scale, *, optimiser: str, clip: float | None) -> float:
    rows = np.random.default_rng(seed).permutation(len(x))
    train, validation, test = rows[:1000], rows[1000:1297], rows[1297:]
    depth = scale.pick(quick=32, full=128)
    networks = [arm(x.shape[1], 10, seed=seed, width=32, depth=depth).double() for _ in RATES]
    members = [Member(Setting(rate, weight_decay=0.0, dropout=0.0), seed, train, validation) for rate in RATES]
    steps = scale.pick(quick=80, full=200)
    recipe = Recipe(steps=steps, batch_size=64, optimiser=optimiser, clip=clip, patience=1.0)
    fitted = arm.fit(networks, x, y, members=members, recipe=recipe, seed=seed)
    guess = fitted.fleet.predict(x[test])[fitted.best].argmax(1)
    return (guess == y[test]).double().mean().item()
