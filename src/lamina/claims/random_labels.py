"""A network fits random labels, regularised or not; one of depth two with 2n + d weights interpolates n points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lamina.data.local import mnist
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

FITTED = "accuracy on the training rows with random labels, lowest of three regularisations"
TEST = "accuracy on new images after training on random labels, highest of three regularisations"
ERROR = "largest error of the closed-form network with 2n + d weights"


def linear(in_features: int, out_features: int, **_: Any) -> nn.Module:
    """A linear model; it has neither a width nor hidden units to drop."""
    return nn.Linear(in_features, out_features)


@claim(
    says="A standard network fits random labels without error, explicit regularisation or not, and is then no better "
    "than chance on new data; a ReLU network of depth two with 2n + d weights represents any values of n points in d "
    "dimensions.",
    where="sections 2 to 4, theorem 1",
    paper="Zhang et al. 2017, Understanding deep learning requires rethinking generalization, arXiv:1611.03530",
    system="mlp",
    baselines={"linear model": linear},
    targets=(
        Target(FITTED, "every value", at_least=0.99),
        Target(FITTED, "difference", at_least=0.1),
        Target(TEST, "value", at_most=0.15),
        Target(ERROR, "every value", at_most=1e-6),
    ),
    data="images with random labels of 10 classes: 300 of scikit-learn's digits, at scale full 1,000 of MNIST at half "
    "resolution; 1,000 others with their true labels as new data",
    reported="on random labels of CIFAR10 training accuracies of 99 % and more for MLPs and convolutional networks, "
    "and test accuracies of about 10 %",
    limits="At most 1,000 small images in place of 50,000, and no convolutional network. MNIST is at half resolution "
    "because 1,000 images of 784 pixels are so few that a linear model fits their random labels too.",
    unequal="a linear model has as many parameters as its inputs and classes ask for",
)
def random_labels(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Without regularisation, with weight decay 0.2 and with dropout 0.2, each at the better of two learning rates.

    The rate is chosen by the accuracy on the training rows: it is the fit that is asked for.
    """
    rng = np.random.default_rng(seed)
    pixels, classes = images(scale)
    n = scale.pick(quick=300, full=1_000)
    rows = rng.permutation(len(pixels))[: n + 1_000]
    x = torch.tensor((pixels[rows] - pixels.mean()) / pixels.std(), dtype=torch.float32)
    y = torch.tensor(np.concatenate([rng.integers(10, size=n), classes[rows[n:]]]))
    settings = [
        Setting(rate, decay, dropout)
        for decay, dropout in ((0.0, 0.0), (0.2, 0.0), (0.0, 0.2))
        for rate in (0.003, 0.03)
    ]
    params = scale.pick(quick=20_000, full=100_000)
    networks = [arm(x.shape[1], 10, seed=seed, params=params, dropout=setting.dropout) for setting in settings]
    members = [Member(setting, seed, np.arange(n)) for setting in settings]
    recipe = Recipe(steps=scale.pick(quick=300, full=1_000), batch_size=100, averaging=0.0)
    right = arm.fit(networks, x, y, members=members, recipe=recipe).fleet.predict(x).argmax(-1) == y
    fitted, test = (part.double().mean(1).view(-1, 2) for part in (right[:, :n], right[:, n:]))
    best = fitted.argmax(1, keepdim=True)
    return {
        FITTED: float(fitted.max(1).values.min()),
        TEST: float(test.gather(1, best).max()),
        ERROR: closed_form_error(x[:n].double(), rng),
    }


def images(scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (images, features) and classes."""
    if not scale.reaches("full"):
        pixels, classes = load_digits(return_X_y=True)
        return np.asarray(pixels), np.asarray(classes)
    pixels, classes = mnist()
    return pixels.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196), classes


def closed_form_error(x: Tensor, rng: np.random.Generator) -> float:
    r"""The largest error of sum_j w_j relu(a x - b_j) on values drawn for the rows of `x`, without any training.

    With rows sorted along a random direction a, and a threshold b_j between the projections j - 1 and j, the matrix of
    relu(a x_i - b_j) is triangular with a diagonal above 0, so that there are weights w for any values.
    """
    n, d = x.shape
    y = torch.from_numpy(rng.standard_normal(n))
    a = torch.from_numpy(rng.standard_normal(d))
    projected, order = (x @ a).sort()
    # at the projection before rather than halfway: the weights are differences of slopes then, and stay small
    b = torch.cat([projected[:1] - 1, projected[:-1]])
    w = torch.linalg.solve_triangular((projected[:, None] - b).relu(), y[order, None], upper=False)
    return float(((x @ a)[:, None] - b).relu().matmul(w).squeeze(1).sub(y).abs().max())
