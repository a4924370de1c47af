"""Sines and cosines in every layer carry a periodic signal on beyond the training range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from lamina.claims._characters import next_character_loss
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.fan import FANLinear
from lamina.layers.kan import KANLinear
from lamina.networks.factory import create
from lamina.networks.size import solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

RATES = (3e-3, 1e-2)
SIGNALS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    np.sin,
    lambda t: (1 + np.sin(t)) * np.sin(2 * t),
    lambda t: np.sin(t + np.sin(2 * t)),
)


def plain(
    layers: Sequence[Callable[[int, int], nn.Module]], in_features: int, out_features: int, *, params: int
) -> nn.Module:
    """Layers of one width and a linear head, without normalisation, as in the paper."""

    def build(width: int) -> nn.Module:
        sizes = [in_features, *[width] * (len(layers) - 1)]
        return nn.Sequential(
            *(layer(n, width) for layer, n in zip(layers, sizes, strict=True)), nn.Linear(width, out_features)
        )

    return build(solve_width(build, params))


def fan(in_features: int, out_features: int, *, params: int, depth: int = 2, reach: float | None = None) -> nn.Module:
    """Layers with sines and cosines."""
    return plain([FANLinear] * depth, in_features, out_features, params=params)


def kan(in_features: int, out_features: int, *, params: int, depth: int = 2, reach: float | None = None) -> nn.Module:
    """Layers of splines; the first one's grid covers inputs up to `reach`, as finely as in the paper."""
    first = KANLinear if reach is None else partial(KANLinear, grid=50, limit=reach)
    return plain([first, *[KANLinear] * (depth - 1)], in_features, out_features, params=params)


def mlp(in_features: int, out_features: int, *, params: int, depth: int = 2, reach: float | None = None) -> nn.Module:
    """A perceptron."""
    return create("mlp", in_features=in_features, out_features=out_features, params=params, depth=depth)


@claim(
    says="Layers with sines and cosines learn what is periodic in a signal instead of its values, so that they go on "
    "where perceptrons and spline networks fail, and they can stand in for the feed-forward part of a language model.",
    where="the experiments on periodicity and on language modelling",
    system=fan,
    baselines={"mlp": mlp, "kan": kan},
    params=5_000,
    targets=(
        Target("RMSE on the two periods after 6", "ratio", at_most=0.3),
        Target("RMSE on the two periods after 32", "ratio", at_most=0.3, scale="full"),
        Target("loss on Tiny Shakespeare", "ratio", at_most=1.01, against="mlp", scale="full"),
    ),
    data="sin t, (1 + sin t) sin 2t and sin(t + sin 2t) with a random phase, 200 rows a period drawn evenly from 6 or "
    "32 periods, 1,000 from the next two; Tiny Shakespeare",
    reported="Figures of periodic signals, six periods of a sine and about 32 of others: perceptrons, KAN and "
    "transformers fail beyond the training range, FAN does not. Lower losses of language models.",
    limits="5,000 parameters and 1,500 steps, where the paper has hidden layers of 2,048 units and trains for 10,000 "
    "epochs; smooth signals only; a transformer of two blocks and 250 steps.",
)
def extrapolation(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""Error beyond the training range, and the loss of a small transformer with the arm's feed-forward parts.

    A network of 5,000 parameters is trained on all known periods but the last, at each of two learning rates; the
    rate that does best on the last one is taken. The RMSE on the two periods that follow is in standard deviations
    of the known signal, the geometric mean over the signals.
    """
    steps = scale.pick(quick=400, full=1_500)
    found = {"RMSE on the two periods after 6": beyond(arm, seed, 6, steps)}
    if scale.reaches("full"):
        found["RMSE on the two periods after 32"] = beyond(arm, seed, 32, steps)
        found["loss on Tiny Shakespeare"] = next_character_loss(arm, seed, steps=250)
    return found


def beyond(arm: Arm, seed: int, periods: int, steps: int) -> float:
    """The RMSE on the two periods after those that are known, which lie evenly around 0."""
    rng, known, signals = np.random.default_rng(seed), 200 * periods, len(SIGNALS)
    inside = rng.uniform(-periods, periods, (signals, known))
    t = np.pi * np.concatenate([inside, rng.uniform(periods, periods + 4, (signals, 1_000))], axis=1)
    phases = rng.uniform(0, 2 * np.pi, (signals, 1))
    y = np.stack([signal(row) for signal, row in zip(SIGNALS, t + phases, strict=True)])
    y = (y - y[:, :known].mean(1, keepdims=True)) / y[:, :known].std(1, keepdims=True)
    x, targets = torch.from_numpy(t).float().reshape(-1, 1), torch.from_numpy(y).float()
    members = [
        Member(Setting(rate, 0.01, 0.0), seed, np.flatnonzero(~last) + start, np.flatnonzero(last) + start)
        for start, last in zip(range(0, t.size, t.shape[1]), inside > periods - 2, strict=True)
        for rate in RATES
    ]
    networks = [arm(1, 1, seed=seed, reach=periods * np.pi)] * len(members)
    recipe = Recipe(steps=steps, batch_size=64, patience=1.0)
    fitted = arm.fit(networks, x, targets.flatten(), members=members, recipe=recipe)
    best = np.reshape([trace.loss for trace in fitted.traces], (signals, -1)).argmin(axis=1)
    errors = []
    for number, rate in enumerate(best):
        output = fitted.fleet.module(number * len(RATES) + int(rate))(x.view(signals, -1, 1)[number, known:])
        errors.append((output[:, 0] - targets[number, known:]).square().mean().sqrt().item())
    return float(np.exp(np.log(errors).mean()))
