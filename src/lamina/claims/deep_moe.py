"""In a deep mixture of experts the first gate follows where a digit is, the second which digit it is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lamina.data.local import mnist
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.deep_moe import DeepMoELinear
from lamina.networks.size import solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

FIRST = "information of the first gate on the place, less on the class (nats)"
LAST = "information of the last gate on the class, less on the place (nats)"
USED = "share of the combinations of experts that are used"
ERROR = "test error (%)"
RATES = (1e-3, 3e-3, 1e-2)
CANVAS, IMAGE = 12, 8


class Mixtures(nn.Module):
    """Layers with gates, and a head; `experts` says which expert of each layer weighs most."""

    def __init__(self, layers: list[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList(layers), head

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def deep(in_features: int, out_features: int, *, params: int) -> nn.Module:
    """Two mixtures of 4 experts and a linear head."""

    def build(width: int) -> nn.Module:
        layers = [DeepMoELinear(n, m) for n, m in itertools.pairwise([in_features, width, width])]
        return Mixtures([*layers], nn.Linear(width, out_features))

    return build(solve_width(build, params))


def shallow(in_features: int, out_features: int, *, params: int) -> nn.Module:
    """One mixture of 4 experts, a dense layer without a gate, and a linear head."""

    def build(width: int) -> nn.Module:
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out_features))
        return Mixtures([DeepMoELinear(in_features, width)], head)

    return build(solve_width(build, params))


@claim(
    says="Of two mixtures of experts in a row, the gate of the first follows the place of a shifted digit and that of "
    "the second its class, and all combinations of experts are used.",
    where="abstract",
    system=deep,
    baselines={"one mixture": shallow},
    params=20_000,
    targets=(
        Target(FIRST, "value", at_least=0.0),
        Target(LAST, "value", at_least=0.0),
        Target(USED, "every value", at_least=1.0),
        Target(ERROR, "ratio", at_most=1.0),
    ),
    data="quick: the digits of scikit-learn; full: 10,000 digits of MNIST drawn for each seed, cut to 24 x 24 and "
    "averaged to 8 x 8; each image at one of 25 places on a canvas of 12 x 12 pixels, four times; 60 % of the images "
    "to learn from, 15 % to choose by, 25 % to test on",
    reported="Experts for places in the first layer and for classes in the second, on randomly translated MNIST; all "
    "combinations are used there and on speech monophones.",
    limits="Small images and 20,000 parameters; speech is left out. Experts are balanced within a batch, in the first "
    "third of the training, where the paper balances over all rows. A row's expert is the one with the largest weight, "
    "a place one of 9 parts of the canvas, and a combination is used if one of 1,000 test rows takes it. That the deep "
    "mixture errs no more than one mixture and a dense layer of as many parameters is a target of ours.",
)
def gates(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Mutual information on test images of an expert with place and class, at the rate that validation chooses."""
    x, classes, places, (train, validation, test) = _shifted(seed, scale)
    rates = RATES[scale.pick(quick=2, full=0) :]
    networks = [arm(CANVAS**2, 10, seed=seed) for _ in rates]
    members = [Member(Setting(rate, 1e-2, 0.0), seed, train, validation) for rate in rates]
    for steps, balanced in scale.pick(quick=((40, True), (80, False)), full=((500, True), (1_000, False))):
        for network in networks:
            for layer in network.get_submodule("layers").children():
                layer.margin = 4.0 if balanced else math.inf  # type: ignore[assignment]
        recipe = Recipe(steps=steps, batch_size=64, patience=1.0, checks=8)
        fitted = arm.fit(networks, x, classes, members=members, recipe=recipe)
        networks = [fitted.fleet.module(i) for i in range(len(rates))]
    best = networks[fitted.best]
    with torch.no_grad():
        wrong = best(x[test]).argmax(1) != classes[test]
        chosen = _chosen(best, x[test])
    kind, place = classes[test].numpy(), places[test]
    (_, first), (experts, last) = chosen[0], chosen[-1]
    together = np.zeros(len(test), dtype=np.int64)
    for n, choice in chosen:
        together = together * n + choice
    shares = np.bincount(together, minlength=experts ** len(chosen)) / len(test)
    return {
        FIRST: _information(first, place) - _information(first, kind),
        LAST: _information(last, kind) - _information(last, place),
        USED: float((shares >= 1e-3).mean()),
        ERROR: 100 * float(wrong.double().mean()),
    }


def _chosen(network: nn.Module, x: Tensor) -> list[tuple[int, np.ndarray]]:
    """Of each mixture, the number of experts and the one with the largest weight."""
    found = []
    for layer in network.get_submodule("layers").children():
        weights = layer.gate(x)  # type: ignore[operator]
        found.append((weights.shape[1], weights.argmax(1).numpy()))
        x = layer(x)
    return found


def _information(a: np.ndarray, b: np.ndarray) -> float:
    """Mutual information of two codes, in nats."""
    joint = np.histogram2d(a, b, bins=(np.arange(a.max() + 2), np.arange(b.max() + 2)))[0] / len(a)
    product = joint.sum(1, keepdims=True) * joint.sum(0)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / product[there])).sum())


def _shifted(seed: int, scale: Scale) -> tuple[Tensor, Tensor, np.ndarray, list[np.ndarray]]:
    """Canvases, classes, places, and the rows of the three parts: an image is in one part alone."""
    rng = np.random.default_rng(seed)
    if scale is Scale.QUICK:
        pixels, classes = load_digits(return_X_y=True)
        rows = rng.permutation(len(pixels))
        images = np.asarray(pixels)[rows].reshape(-1, IMAGE, IMAGE) / 16
    else:
        pixels, classes = mnist()
        rows = rng.choice(len(pixels), 10_000, replace=False)
        images = pixels[rows].reshape(-1, 28, 28)[:, 2:26, 2:26].reshape(-1, 8, 3, 8, 3).mean((2, 4))
    images, kinds = np.tile(images, (4, 1, 1)), np.tile(np.asarray(classes)[rows], 4)
    down, right = rng.integers(0, CANVAS - IMAGE + 1, (2, len(images), 1, 1))
    i, j = np.ogrid[:IMAGE, :IMAGE]
    canvas = np.zeros((len(images), CANVAS, CANVAS))
    canvas[np.arange(len(images))[:, None, None], down + i, right + j] = images
    x = torch.from_numpy(((canvas - canvas.mean()) / canvas.std()).reshape(len(images), -1)).float()
    parts = np.split(np.arange(len(rows)), (np.array((0.6, 0.75)) * len(rows)).astype(int))
    part = np.array([0, 0, 1, 2, 2])
    places = (3 * part[down] + part[right]).ravel()
    return x, torch.from_numpy(kinds).long(), places, [np.add.outer(np.arange(4) * len(rows), p).ravel() for p in parts]
