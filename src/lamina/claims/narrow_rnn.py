"""Recurrent layers as narrow as the theorem allows learn more the more of them there are; narrower ones do not."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.narrow_rnn import NarrowRNN
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

DEEPER = "error of the deepest stack, by that of the shallowest"
DEEPEST = "test RMSE of the deepest stack (standard deviations)"
LONGER = "error on sequences of double length, by that on the length learnt"
RATES = (3e-3, 1e-2)


class Series(nn.Module):
    """A stack on sequences of single numbers."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.stack = NarrowRNN(1, 1, width=width, depth=depth)

    def forward(self, x: Tensor) -> Tensor:
        return self.stack(x.unsqueeze(-1)).squeeze(-1)


def series(in_features: int, out_features: int, *, depth: int, width: int) -> nn.Module:
    """Any number of tokens in and as many out."""
    return Series(width, depth)


@claim(
    says="For continuous functions of sequences with one input and one output, recurrent networks with ReLU of width 4 "
    "are universal by depth alone, whatever the length.",
    where="abstract of the first version; the last one has a width of 5",
    system=partial(series, width=4),
    baselines={"width 1": partial(series, width=1)},
    targets=(
        Target(DEEPER, "value", at_most=0.7),
        Target(DEEPEST, "ratio", at_most=0.7),
        Target(LONGER, "value", at_most=1.2),
    ),
    data="generated sequences of 8 numbers (quick: 4), even from -1 to 1, and the target sin(3 m_t) + x_t m_{t-1} of a "
    "memory m_t = a m_{t-1} + x_t with a from 0.3 to 0.6; 1,000 sequences to learn from, 300 to choose by, 1,000 to "
    "test on of the same and of double length",
    reported="A theorem: the width dx + dy + 2 suffices for continuous functions, max(dx + 1, dy) in the mean.",
    limits="Existence is not trainability: what is measured is training from a start close to the identity, the best "
    "of three initial weights (quick: one) and two learning rates by validation loss, at depths of 1, 4 and 12 (quick: "
    "1 and 3), some hundred steps. Width 2, and bidirectional and gated stacks, are left out.",
    unequal="The claim is about the width at any depth, so the narrower stacks have fewer parameters.",
)
def depth(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The error at each depth, and that of the deepest on sequences twice as long as those that it learnt from."""
    rng = np.random.default_rng(seed)
    fading = rng.uniform(0.3, 0.6)
    length = scale.pick(quick=4, full=8)
    x, y = _sequences(rng, 1_300, length, fading)
    mean, spread = y[:1_000].mean(), y[:1_000].std()
    draws, train, validation = scale.pick(quick=1, full=3), np.arange(1_000), np.arange(1_000, 1_300)
    errors, longer = [], 0.0
    short, long = (_sequences(rng, 1_000, n, fading) for n in (length, 2 * length))
    for layers in scale.pick(quick=(1, 3), full=(1, 4, 12)):
        members = [Member(Setting(rate, 0.0, 0.0), seed, train, validation) for _ in range(draws) for rate in RATES]
        networks = [arm(1, 1, seed=1_000 * seed + draw, depth=layers) for draw in range(draws) for _ in RATES]
        steps, batch = scale.pick(quick=(160, 32), full=(350, 64))
        recipe = Recipe(steps=steps, batch_size=batch, patience=1.0, checks=10)
        fitted = arm.fit(networks, x, (y - mean) / spread, members=members, recipe=recipe, seed=seed)
        best = fitted.fleet.module(fitted.best)
        with torch.no_grad():
            found = [(best(a) - (b - mean) / spread).square().mean().sqrt().item() for a, b in (short, long)]
        errors.append(found[0])
        longer = found[1] / found[0]
    return {DEEPER: errors[-1] / errors[0], DEEPEST: errors[-1], LONGER: longer}


def _sequences(rng: np.random.Generator, rows: int, length: int, fading: float) -> tuple[Tensor, Tensor]:
    x = rng.uniform(-1, 1, (rows, length))
    powers = fading ** np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    memory = x @ np.triu(powers)
    before = np.pad(memory, ((0, 0), (1, 0)))[:, :-1]
    return torch.from_numpy(x).float(), torch.from_numpy(np.sin(3 * memory) + x * before).float()
