"""Rational functions that groups of channels share do as well as a perceptron in a vision transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lamina.claims.karat import ACCURACY, RATES, Softmax, images, sized
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.arm import Maker
from lamina.evidence.claim import claim
from lamina.layers.gr_kan import GRKANLinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

VARIANCE = "change of the variance by a new feed-forward part (octaves)"
PARAMS, WIDTHS = 6_000, (32, 64, 256)


class Block(nn.Module):
    """``x + attention(norm(x))`` and then ``x + dense(norm(x))``."""

    def __init__(self, width: int, dense: nn.Module) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.LayerNorm(width), Softmax(width))
        self.dense = nn.Sequential(nn.LayerNorm(width), dense)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(x)
        return x + self.dense(x)


def rational(width: int) -> nn.Module:
    """Two layers of rational functions, which start as the identity and as SiLU."""
    return nn.Sequential(GRKANLinear(width, 2 * width, start="identity"), GRKANLinear(2 * width, width))


def perceptron(width: int) -> nn.Module:
    """Two dense layers with GELU between."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


def maker(dense: Maker) -> Maker:
    """What makes transformers with such feed-forward parts or, at a given width, one part alone."""
    whole = sized(lambda width: Block(width, dense(width)))

    def make(in_features: int, out_features: int, *, params: int = PARAMS, width: int | None = None) -> nn.Module:
        return whole(in_features, out_features, params=params) if width is None else dense(width)

    return make


@claim(
    says="In a vision transformer, layers of rational functions that groups of channels share do at least as well as "
    "perceptrons, and from the start they keep the variance of their inputs.",
    where="abstract",
    system=maker(rational),
    baselines={"perceptron": maker(perceptron)},
    params=PARAMS,
    targets=(Target(VARIANCE, "every value", at_most=1.0), Target(ACCURACY, "difference", at_least=-0.5, scale="full")),
    data="1,000 standard normal rows for the variance; full: 9,000 digits of MNIST in 16 patches, 4,000 to learn from, "
    "1,000 to choose by, 4,000 to test on",
    reported="Better than the same transformers with perceptrons at all their sizes; no numbers in the abstract.",
    limits="One block, 6,000 parameters in all and 600 steps on digits, where the paper has "
    "ImageNet. The perceptron has torch's initialisation. That it is faster than splines is not measured here: numbers "
    "of a claim do not depend on the machine.",
)
def gr_kan(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """What new parts do to the variance, and the test accuracy of the better of two learning rates.

    The former is the absolute logarithm, to base 2, of the variance of a part's outputs over that of its standard
    normal inputs: the largest for 32, 64 and 256 channels.
    """
    generator = torch.Generator().manual_seed(seed)
    changes = []
    for width in WIDTHS:
        x = torch.randn(1_000, width, generator=generator)
        with torch.no_grad():
            changes.append(abs(math.log2(arm(width, width, seed=seed, width=width)(x).var() / x.var())))
    found = {VARIANCE: max(changes)}
    if scale.reaches("full"):
        found[ACCURACY] = _accuracy(arm, seed, scale)
    return found


def _accuracy(arm: Arm, seed: int, scale: Scale) -> float:
    x, y, (train, validation, test) = images(seed, scale)
    members = [Member(Setting(rate, weight_decay=0.05, dropout=0.0), seed, train, validation) for rate in RATES]
    recipe = Recipe(steps=600, batch_size=64, patience=1.0, checks=5)
    fitted = arm.fit([arm(784, 10, seed=seed)] * len(RATES), x, y, members=members, recipe=recipe, seed=seed)
    with torch.no_grad():
        logits = fitted.fleet.module(fitted.best).eval()(x[test])
    return 100 * float((logits.argmax(1) == y[test]).float().mean())
