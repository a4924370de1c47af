"""Batch normalisation with orthogonal weights keeps gradients bounded at any depth, with Gaussian ones they explode."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

WIDTH = 64
DEPTHS = (5, 20, 100, 500)
GROWTH = "largest over smallest gradient norm of the first layer, depths 5 to 500"
GAP = "orthogonality gap after 500 layers over that of the inputs"
ACCURACY = "accuracy on new digits of a tanh network of depth 100"


class BatchNormMLP(nn.Module):
    """Square layers without biases, each followed by batch normalisation without a mean: z / sqrt(mean of z^2).

    With `shaped`, layer l then has (tanh a z) / a with a = 1/l, which is the more linear the deeper the layer. The
    last representation is the output where the sizes agree, else a linear head follows.
    """

    def __init__(self, weights: Tensor, out_features: int, shaped: bool) -> None:
        super().__init__()
        self.weights = nn.ParameterList(weight.clone() for weight in weights)
        width = weights.shape[-1]
        self.head = nn.Identity() if width == out_features else nn.Linear(width, out_features)
        self.shaped = shaped

    def forward(self, x: Tensor) -> Tensor:
        for layer, weight in enumerate(self.weights, 1):
            z = F.linear(x, weight)
            x = z / z.square().mean(0).sqrt()
            if self.shaped:
                x = layer * torch.tanh(x / layer)
        return self.head(x)


def gaussian(
    in_features: int, out_features: int, *, depth: int, shaped: bool = False, dtype: torch.dtype = torch.float64
) -> nn.Module:
    """Independent normal weights of variance 1 / width."""
    weights = torch.randn(depth, in_features, in_features, dtype=dtype) / in_features**0.5
    return BatchNormMLP(weights, out_features, shaped)


def orthogonal(
    in_features: int, out_features: int, *, depth: int, shaped: bool = False, dtype: torch.dtype = torch.float64
) -> nn.Module:
    """Weights drawn uniformly from the orthogonal matrices."""
    q, r = torch.linalg.qr(torch.randn(depth, in_features, in_features, dtype=dtype))
    return BatchNormMLP(q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None], out_features, shaped)


@claim(
    says="In a linear MLP with batch normalisation, random orthogonal weights keep the gradients bounded at any depth "
    "while the representations of a batch become orthogonal; with Gaussian weights the gradients explode. A shaped "
    "activation carries this over to nonlinear networks, so that very deep ones can be trained.",
    where="abstract",
    paper="Meterez et al. 2023, Towards Training Without Depth Limits: Batch Normalization Without Gradient Explosion, "
    "arXiv:2310.02012",
    system=orthogonal,
    baselines={"gaussian weights": gaussian},
    targets=(
        Target(GROWTH, "every value", at_most=2.0),
        Target(GROWTH, "ratio", at_most=0.02),
        Target(GAP, "value", at_most=0.5),
        Target(ACCURACY, "value", at_least=0.9, scale="full"),
    ),
    data="64 standard normal inputs with 64 features and random classes; at scale full also scikit-learn's digits, "
    "1,280 to learn from and 512 new ones",
    reported="a proof that the gradients are bounded, and trainings of MLPs of great depth with shaped sin and tanh",
    limits="Width and batch are 64 here, and depth ends at 500, that of the trained network at 100. The ratio of 0.02 "
    "stands for a factor of at most 2 against one of at least 100. The theory needs linearly independent inputs.",
)
def batch_norm_depth(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The norm of the loss's gradient by the first weights, and the gap, at initialisation.

    The loss is the cross-entropy of the last representation for random classes; norms are geometric means over draws.
    With the inner products G of a batch of n, the gap is the Frobenius norm of G / tr G - I / n.
    """
    generator = torch.Generator().manual_seed(seed)
    norms, gaps = [], []
    for draw in range(scale.pick(quick=4, full=8)):
        x = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
        y = torch.randint(WIDTH, (WIDTH,), generator=generator)
        for depth in DEPTHS:
            network = arm(WIDTH, WIDTH, seed=100 * seed + draw, depth=depth)
            output = network(x)
            (gradient,) = torch.autograd.grad(F.cross_entropy(output, y), next(network.parameters()))
            norms.append(gradient.norm().log())
        gaps.append(gap(output.detach()) / gap(x))
    log_norm = torch.stack(norms).view(-1, len(DEPTHS)).mean(0)
    found = {GROWTH: float((log_norm.max() - log_norm.min()).exp()), GAP: float(torch.stack(gaps).mean())}
    return found | ({ACCURACY: accuracy(arm, seed)} if scale.reaches("full") else {})


def gap(x: Tensor) -> Tensor:
    """How far the rows are from being orthogonal and of one length."""
    products = x @ x.T
    return (products / products.trace() - torch.eye(len(x), dtype=x.dtype) / len(x)).norm()


def accuracy(arm: Arm, seed: int) -> float:
    """On new digits, at the learning rate that fits the training digits better; a batch is as large as the width."""
    pixels, digits = map(np.asarray, load_digits(return_X_y=True))
    x, y = torch.tensor(pixels - pixels.mean(0), dtype=torch.float32), torch.tensor(digits)
    order = np.random.default_rng(seed).permutation(len(x))
    learnt, new = order[: 20 * WIDTH], order[20 * WIDTH : 28 * WIDTH]
    network = arm(WIDTH, 10, seed=seed, depth=100, shaped=True, dtype=torch.float32)
    members = [Member(Setting(rate, weight_decay=0.0, dropout=0.0), seed, learnt) for rate in (0.001, 0.003)]
    recipe = Recipe(steps=100, batch_size=WIDTH, averaging=0.0)
    fleet = arm.fit([network] * len(members), x, y, members=members, recipe=recipe).fleet
    right = [(fleet.predict(x[rows], chunk=WIDTH).argmax(-1) == y[rows]).double().mean(1) for rows in (learnt, new)]
    return float(right[1][right[0].argmax()])
