"""Deep plain networks train worse than shallow ones, residual networks do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lamina.data.local import mnist
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.networks.tables.resnet import Block, ResNet
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

RISE = "rise of the train loss with depth (nats)"
DEEP = "train loss of the deep network (nats)"
RATES = (5e-4, 2e-3, 8e-3)


class PlainBlock(Block):
    """``W2 dropout(gelu(W1 norm(h)))``: the block of `ResNet` without the shortcut."""

    def forward(self, h: Tensor) -> Tensor:
        return self.out(self.dropout(F.gelu(self.into(self.norm(h)))))


def plain(in_features: int, out_features: int, *, width: int, depth: int, **options: Any) -> nn.Module:
    """A `ResNet` of the same initial weights, without shortcuts."""
    network = ResNet(in_features, out_features, width=width, depth=depth, **options)
    blocks = nn.Sequential(*(PlainBlock(width, 2 * width, 0.0) for _ in range(depth)))
    blocks.load_state_dict(network.blocks.state_dict())
    network.blocks = blocks
    return network


@claim(
    says="Plain networks reach a higher training loss when they are made deeper; with shortcuts they do not.",
    where="section 4, tables 2 and 6, figures 1, 4 and 6",
    baselines={"plain": plain},
    targets=(
        Target(RISE, "value", at_most=0.02),
        Target(RISE, "difference", at_most=-0.05),
        Target(DEEP, "ratio", at_most=1.0),
    ),
    data="full: 4,000 digits of MNIST, drawn anew for each seed; quick: the 1,797 digits of scikit-learn",
    reported="ImageNet, top-1 error of plain networks of 18 and 34 layers 27.94 % and 28.54 %, of residual ones "
    "27.88 % and 25.03 %; CIFAR-10, error of residual networks of 20 and 56 layers 8.75 % and 6.97 %, where plain ones "
    "of 56 layers have a higher training error than those of 20",
    limits="Dense blocks instead of convolutions, layer instead of batch normalisation and GELU, the form for tables: "
    "layer normalisation does not keep rows apart, so a plain network loses its input with depth sooner than in the "
    "paper. Some hundred steps of AdamW on small images; 8 and 50 layers (quick: 8 and 18).",
)
def resnet(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""The training loss of a shallow and of a deep network after equally many steps.

    A block has two dense layers, beside them are the stem and the head: 3 blocks are 8 layers, 24 are 50 (quick: 8
    are 18). Each depth is trained at three learning rates, with AdamW without weight decay, and has the lowest
    cross-entropy :math:`L` of these on all its training rows, at the end. The rise is
    :math:`\max(0, L_{deep} - L_{shallow})`, so that what a deeper network gains does not count.
    """
    x, y = _digits(seed, scale)
    shallow, deep = (_train_loss(arm, x, y, depth, seed, scale) for depth in (3, scale.pick(quick=8, full=24)))
    return {RISE: max(0.0, deep - shallow), DEEP: deep}


def _train_loss(arm: Arm, x: Tensor, y: Tensor, depth: int, seed: int, scale: Scale) -> float:
    width = scale.pick(quick=16, full=24)
    networks = [arm(x.shape[1], 10, seed=seed, width=width, depth=depth) for _ in RATES]
    members = [Member(Setting(rate, weight_decay=0.0, dropout=0.0), seed, np.arange(len(x))) for rate in RATES]
    recipe = Recipe(steps=scale.pick(quick=200, full=350), batch_size=scale.pick(quick=64, full=128))
    output = arm.fit(networks, x, y, members=members, recipe=recipe, seed=seed).fleet.predict(x)
    return min(F.cross_entropy(logits, y).item() for logits in output)


def _digits(seed: int, scale: Scale) -> tuple[Tensor, Tensor]:
    """Standardised pixels and classes."""
    if scale is Scale.QUICK:
        x, y = load_digits(return_X_y=True)
    else:
        x, y = mnist()
        rows = np.random.default_rng(seed).choice(len(x), 4_000, replace=False)
        x, y = x[rows], y[rows]
    x = (x - x.mean()) / x.std()
    return torch.tensor(x, dtype=torch.float32), torch.from_numpy(y)
