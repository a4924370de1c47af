"""One layer of attention and one of ReLU approximate maps of sequences, better with width, and need both parts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.one_layer_transformer import OneLayerTransformer
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

ERROR, SLOPE = "test error by the variance of the map", "slope of log error by log width"
TOKENS, SIZE, RATES = 4, 2, (5e-3, 2e-2)


def rows_of(layer: nn.Module) -> nn.Module:
    """Rows of four tokens as four outputs."""
    return nn.Sequential(nn.Unflatten(-1, (TOKENS, -1)), layer, nn.Flatten(-2))


def complete(in_features: int, out_features: int, *, size: int) -> nn.Module:
    """The system."""
    return rows_of(
        OneLayerTransformer(in_features // TOKENS, out_features // TOKENS, tokens=TOKENS, size=size, units=4 * size)
    )


def placeless(in_features: int, out_features: int, *, size: int) -> nn.Module:
    """The system, its places a buffer of zeros."""
    layer = OneLayerTransformer(in_features // TOKENS, out_features // TOKENS, tokens=TOKENS, size=size, units=4 * size)
    del layer.places
    layer.register_buffer("places", torch.zeros(TOKENS, size))
    return rows_of(layer)


class Apart(OneLayerTransformer):
    """A layer whose tokens read from themselves alone."""

    def attention(self, h: Tensor) -> Tensor:
        v = nn.functional.linear(h, self.attend).chunk(3, -1)[2]
        return nn.functional.linear(v, self.attended)


def apart(in_features: int, out_features: int, *, size: int) -> nn.Module:
    """The system, with attention from each token to itself."""
    return rows_of(Apart(in_features // TOKENS, out_features // TOKENS, tokens=TOKENS, size=size, units=4 * size))


@claim(
    says="A transformer of one self-attention and a ReLU net at every place approximates any continuous map of "
    "sequences on a compact domain, as closely as one likes if it is wide enough.",
    where="abstract",
    system=complete,
    baselines={"no places": placeless, "no attention": apart},
    targets=(
        Target(ERROR, "ratio", at_most=0.5, against="no places"),
        Target(ERROR, "ratio", at_most=0.5, against="no attention"),
        Target(SLOPE, "value", at_most=-0.25, scale="full"),
    ),
    data="sums of four random sines of all numbers of a sequence of 4 tokens from [-1, 1]^2, others at every place; "
    "3,000 rows (quick: 1,000) to learn from, 500 to choose by, 1,000 to test on",
    reported="A proof; no rates.",
    limits="Trained networks of sizes 8, 16 and 32 (quick: 16 alone) with 4 heads, not the construction of the proof, "
    "and some hundred steps, so that an error has a part that no width takes away. Learnt places and a shortcut around "
    "the attention, as transformers have.",
    unequal="The network without places has no parameters for them.",
)
def one_layer_transformer(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The error of the largest network, and the slope of a line through the errors of all sizes."""
    rng = np.random.default_rng(seed)
    rows = scale.pick(quick=1_000, full=3_000)
    x = rng.uniform(-1, 1, (rows + 1_500, TOKENS * SIZE))
    waves = rng.normal(scale=1.0, size=(TOKENS, 4, TOKENS * SIZE))
    y = (rng.normal(size=(TOKENS, 4)) * np.sin(x @ waves.reshape(-1, x.shape[1]).T).reshape(-1, TOKENS, 4)).sum(-1)
    y = (y - y[:rows].mean(0)) / y[:rows].std(0)
    inputs, targets = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    train, validation, test = np.split(np.arange(len(x)), (rows, rows + 500))
    members = [Member(Setting(rate, weight_decay=0.0, dropout=0.0), seed, train, validation) for rate in RATES]
    recipe = Recipe(steps=scale.pick(quick=300, full=900), batch_size=64, patience=1.0, checks=5)
    sizes, errors = scale.pick(quick=(16,), full=(8, 16, 32)), []
    for size in sizes:
        network = arm(x.shape[1], TOKENS, seed=seed, size=size)
        fitted = arm.fit([network] * len(RATES), inputs, targets, members=members, recipe=recipe, seed=seed)
        with torch.no_grad():
            output = fitted.fleet.module(fitted.best).eval()(inputs[test])
        errors.append(float((output - targets[test]).square().mean()))
    found = {ERROR: errors[-1]}
    if scale.reaches("full"):
        found[SLOPE] = float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])
    return found
