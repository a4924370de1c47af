"""A claim about nothing, measured in no time."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from torch import nn

from lamina.evidence import Claim, Target

FACTS = {
    "says": "It is lower.",
    "where": "table 1",
    "paper": "Nobody 2020, A <title> & more, arXiv:2001.00001",
    "data": "drawn",
    "reported": "half",
    "limits": "it is small",
    "unequal": "",
}


def linear(in_features, out_features, **options):
    return nn.Linear(in_features, out_features)


def biased(in_features, out_features, **options):
    network = nn.Linear(in_features, out_features)
    nn.init.constant_(network.bias, 5.0)
    return network


def lower(arm, seed, scale):
    """The size of the bias, with noise that both sides share."""
    network = arm(2, 1, seed=seed)
    noise = np.random.default_rng(seed).uniform(1, 2)
    return {"error": float(network.bias.detach().abs().mean()) + noise}


@pytest.fixture
def toy() -> Claim:
    return Claim(
        name="toy",
        measure=lower,
        targets=(Target("error", "ratio", at_most=0.9),),
        system=linear,
        baselines={"biased": biased},
        params=None,
        **FACTS,
    )


@pytest.fixture
def known(toy, monkeypatch) -> Claim:
    """The toy, found by its name in this process."""
    install(monkeypatch, toy=toy)
    return toy


def install(monkeypatch, **claims):
    """Let these claims be all that there are, in this process."""
    module = sys.modules["lamina.evidence.reproduce"]
    monkeypatch.setattr(module, "find", claims.__getitem__)
    monkeypatch.setattr(module, "require_known", list)
