"""Weights that change with the time fit a video better than fixed ones of the same width or the same number."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.networks.functions.resfields import ResFields
from lamina.networks.size import meta_size, solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

PSNR = "PSNR of pixels held out (dB)"
RATES = (2e-2, 6e-2, 1.2e-1)
WIDTH, RANK = 20, 6


class Sine(nn.Module):
    """The sine of a dense layer."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).sin()


def residual(in_features: int, out_features: int, *, frames: int, width: int = WIDTH) -> nn.Module:
    """The system."""
    return ResFields(in_features, out_features, width=width, frames=frames, rank=RANK)


def siren(in_features: int, out_features: int, *, frames: int, width: int = WIDTH) -> nn.Module:
    """The network without residuals, drawn in the same way."""
    like = ResFields(in_features, out_features, width=width, frames=1, rank=1)
    layers = [Sine(a, b) for a, b in itertools.pairwise([in_features, width, width, width])]
    for layer, drawn in zip(layers, (like.first, *like.hidden), strict=True):
        layer.linear.load_state_dict({"weight": drawn.weight, "bias": drawn.bias})
    return nn.Sequential(*layers, like.head)


def wide(in_features: int, out_features: int, *, frames: int) -> nn.Module:
    """The network without residuals, as wide as it takes to have as many parameters as with them."""
    params = meta_size(lambda: residual(in_features, out_features, frames=frames))
    return siren(
        in_features,
        out_features,
        frames=frames,
        width=solve_width(lambda width: siren(in_features, out_features, frames=frames, width=width), params),
    )


@claim(
    says="Residual layers that depend on the time improve a network that fits a video, at the same width and against a "
    "wider network with as many parameters.",
    where="abstract",
    system=residual,
    baselines={"same width": siren, "same parameters": wide},
    targets=(
        Target(PSNR, "difference", at_least=1.0, against="same width"),
        Target(PSNR, "difference", at_least=1.0, against="same parameters"),
    ),
    data="a generated video of 48 by 48 pixels and 24 frames (quick: 20 by 20 and 8): twelve plane waves that drift, "
    "turn and pulse at random and a dark disk on a random path; 80 % of the pixels to learn from, 10 % to choose by, "
    "10 % to test on",
    reported="Consistent improvements in fitting videos, temporal distance fields and radiance fields that move.",
    limits="A video of one colour, 55,000 pixels and a thousand steps, networks of 20 units a layer with residuals "
    "of rank 6; distance and radiance fields are left out.",
    unequal="The residuals are parameters beside those of the network of the same width.",
)
def video(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Three learning rates, of which the error on validation pixels takes one; a range of values is 1."""
    size, frames = scale.pick(quick=(20, 8), full=(48, 24))
    rng = np.random.default_rng(seed)
    x, y = _video(rng, size, frames)
    rows = rng.permutation(len(x))
    test, validation, train = np.split(rows, [len(x) // 10, len(x) // 5])
    mean, spread, reach = y[train].mean(), y[train].std(), y.max() - y.min()
    members = [Member(Setting(rate, 0.0, 0.0), seed, train, validation) for rate in RATES]
    steps, batch = scale.pick(quick=(150, 128), full=(1_000, 512))
    recipe = Recipe(steps=steps, batch_size=batch, checks=5, patience=1.0)
    networks = [arm(3, 1, seed=seed, frames=frames)] * len(RATES)
    fitted = arm.fit(networks, x, (y - mean) / spread, members=members, recipe=recipe, seed=seed)
    with torch.no_grad():
        error = fitted.fleet.module(fitted.best)(x[test])[:, 0] * spread + mean - y[test]
    return {PSNR: float(-10 * torch.log10((error / reach).square().mean()))}


def _video(rng: np.random.Generator, size: int, frames: int) -> tuple[Tensor, Tensor]:
    """Coordinates from -1 to 1, the time last, and the value of every pixel."""
    place, time = torch.linspace(-1, 1, size), torch.linspace(-1, 1, frames)
    x = torch.cartesian_prod(place, place, time)

    def path(count: int, speed: float) -> Tensor:
        """Smooth random functions of the time, of unit variance at each time."""
        amplitude, phase = rng.normal(size=(count, 4)), rng.uniform(0, 2 * math.pi, (count, 4))
        waves = torch.from_numpy(phase).float() + speed * torch.arange(1, 5) * x[:, 2, None, None]
        return (torch.from_numpy(amplitude).float() * waves.cos()).sum(-1) / math.sqrt(2)

    turn, drift, pulse = path(12, 0.5), path(12, 0.8), path(12, 1.5)
    angle, pitch = torch.from_numpy(rng.uniform(0, math.pi, 12)).float() + 0.3 * turn, torch.linspace(3, 12, 12)
    along = angle.cos() * x[:, :1] + angle.sin() * x[:, 1:2]
    y = (pulse * (pitch * along + 3 * drift).cos() / pitch.sqrt()).sum(1)
    centre = 0.4 * path(2, 1.0)
    inside = torch.sigmoid(30 * (0.35 - (x[:, :2] - centre).norm(dim=1)))
    return x, y * (1 - inside) - inside
