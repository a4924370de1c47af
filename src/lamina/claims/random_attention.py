"""Attention with frozen random scores needs fewer rows than a random perceptron for averages over keys."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.random_attention import RandomAttention

PAIRS = "test error on averages of functions of query and key"
ALONE = "test error on averages of functions of a key"
SIZE, KEYS = 8, 8


class Averages(nn.Module):
    """A query and keys, one row, as the averages of a random attention."""

    def __init__(self, features: int, mean: float) -> None:
        super().__init__()
        self.attention = RandomAttention(SIZE, 1, heads=features // (SIZE + 1), mean=mean)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(-1, (KEYS + 1, SIZE))
        return self.attention.averages(x[..., :1, :], x[..., 1:, :]).flatten(-2)


class Hidden(nn.Module):
    """A frozen random layer with ReLU, of the query and all keys as one row; values are what ridge regression finds."""

    weight: Tensor

    def __init__(self, in_features: int, features: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.randn(features, in_features + 1) / (in_features + 1) ** 0.5)
        self.values = nn.Parameter(torch.zeros(1, features))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.weight[:, 1:].T + self.weight[:, 0]).relu()


def suited(in_features: int, out_features: int, *, mean: float) -> nn.Module:
    """A random attention of the mean that suits the targets."""
    return Averages(out_features, mean)


def centred(in_features: int, out_features: int, *, mean: float) -> nn.Module:
    """A random attention of mean zero in any case."""
    return Averages(out_features, 0.0)


def perceptron(in_features: int, out_features: int, *, mean: float) -> nn.Module:
    """A frozen random layer."""
    return Hidden(in_features, out_features)


@claim(
    says="Attention with many heads of frozen random scores and trained values learns functions that do not depend on "
    "the order of the keys from fewer rows than a random two-layer network, and random matrices whose mean is not zero "
    "need still fewer where the function is one of inner products of query and keys.",
    where="abstract",
    system=suited,
    baselines={"zero mean": centred, "perceptron": perceptron},
    targets=(
        Target(PAIRS, "ratio", at_most=0.8, against="perceptron"),
        Target(PAIRS, "ratio", at_most=0.9, against="zero mean"),
        Target(ALONE, "ratio", at_most=0.8, against="perceptron"),
    ),
    data="a query and 8 keys, standard normal in 8 dimensions; the mean over the keys of three functions (square, "
    "cube, cosine of the double) of the standardised inner product with the query, or with one random direction, with "
    "noise of a tenth; 200, 1,000 and 4,000 rows (quick: 2,000), and a quarter as many to choose by",
    reported="Better sample complexity than two-layer random features; weights of non-zero mean better than those of "
    "zero mean for certain targets.",
    limits="As many features in every arm, 720 (quick: 288), and ridge regression on them, with the best of nine "
    "penalties on other rows. The mean is as strong as the noise of the scores where the target is of query and "
    "key, and zero where it is of keys alone; functions, sizes and rows are ours.",
)
def random_attention(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The mean squared error by the variance of the target, the geometric mean over functions and numbers of rows."""
    rng = np.random.default_rng(seed)
    features, test = scale.pick(quick=288, full=720), 1_000
    found: dict[str, list[float]] = {PAIRS: [], ALONE: []}
    for rows in scale.pick(quick=(2_000,), full=(200, 1_000, 4_000)):
        total = rows + rows // 4 + test
        x = rng.standard_normal((total, KEYS + 1, SIZE))
        direction = rng.standard_normal(SIZE)
        products = {
            PAIRS: np.einsum("nd,nkd->nk", x[:, 0], x[:, 1:]) / SIZE**0.5,
            ALONE: x[:, 1:] @ direction / np.linalg.norm(direction),
        }
        for metric, z in products.items():
            with torch.no_grad():
                module = arm(x[0].size, features, seed=seed, mean=1.0 if metric == PAIRS else 0.0).double()
                inputs = torch.cat([module(part) for part in torch.from_numpy(x).flatten(1).split(1_000)]).numpy()
            y = np.stack([f(z).mean(1) for f in (np.square, lambda z: z**3, lambda z: np.cos(2 * z))], axis=1)
            y = (y - y[:rows].mean(0)) / y[:rows].std(0)
            noisy = y + 0.1 * rng.standard_normal(y.shape)
            found[metric] += list(_ridge_errors(inputs, y, noisy, rows, test))
    return {metric: float(np.exp(np.log(errors).mean())) for metric, errors in found.items()}


def _ridge_errors(inputs: np.ndarray, y: np.ndarray, noisy: np.ndarray, rows: int, test: int) -> np.ndarray:
    """The test errors of the targets, each at the penalty that does best on the rows between."""
    inputs = (inputs - inputs[:rows].mean(0)) / np.maximum(inputs[:rows].std(0), 1e-12)
    train, validation, last = inputs[:rows], inputs[rows:-test], inputs[-test:]
    values, vectors = np.linalg.eigh(train.T @ train / rows)
    projected = vectors.T @ (train.T @ noisy[:rows]) / rows
    solutions = np.stack([vectors @ (projected / (values[:, None] + 10.0**power)) for power in range(-5, 4)])
    chosen = np.square(validation @ solutions - noisy[rows:-test]).mean(1).argmin(0)
    outputs = last @ solutions
    picked = outputs[chosen, :, np.arange(y.shape[1])].T
    return np.square(picked - y[-test:]).mean(0) / y[-test:].var(0)
