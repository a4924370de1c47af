import os

import numpy as np
import pytest
import torch

import lamina
from lamina.training import Member, Recipe, Setting
from lamina.training.compiling import PLAIN, pays
from lamina.training.fleet import Fleet
from lamina.training.noise import Noise
from lamina.training.program import Program


def program(name: str, monkeypatch: pytest.MonkeyPatch, steps: int) -> list[bool]:
    """Whether `pays` says yes to the traced step of a fleet, for each time it is asked."""
    said: list[bool] = []
    monkeypatch.setattr("lamina.training.program.pays", lambda graph, n: said.append(pays(graph, n)))
    fleet = Fleet([lamina.create(name, in_features=8, out_features=2, params=5_000)] * 4)
    x, y = torch.zeros(4, 64, 8), torch.zeros(4, 64, dtype=torch.int64)
    Program(fleet, fleet.parameters, x, y, None, Noise([(0,)] * 4, fleet.device), compile=None, steps=steps)
    return said


def test_only_long_trainings_with_splines_are_expected_to_gain(monkeypatch):
    assert program("kan", monkeypatch, steps=100) == [False]
    assert program("kan", monkeypatch, steps=10**6) == [True]
    assert program("mlp", monkeypatch, steps=10**6) == [False]


def test_plain_operations_stand_for_the_operators():
    x, low, scale = torch.randn(7, 3).double(), torch.full((3,), -2.0).double(), torch.full((3,), 1.5).double()
    g = torch.randn(7, 9, 3).double()
    for operator, inputs in (("spline_edges", (x,)), ("spline_edges_backward", (g, x))):
        call = getattr(torch.ops.lamina, operator).default
        torch.testing.assert_close(PLAIN[call](*inputs, low, scale, 5, 3), call(*inputs, low, scale, 5, 3))


@pytest.mark.skipif("LAMINA_SLOW" not in os.environ, reason="compiles for half a minute; set LAMINA_SLOW")
@pytest.mark.parametrize("name", ["kan", "mlp"])
def test_a_compiled_training_is_the_same_training(name):
    x, y = torch.randn(200, 4), torch.randint(0, 2, (200,))
    members = [Member(Setting(1e-2, weight_decay=0.0, dropout=rate), 0, np.arange(200)) for rate in (0.0, 0.3)]
    networks = [lamina.create(name, in_features=4, out_features=2, params=500, seed=0) for _ in members]
    outputs = [
        lamina.fit(networks, x, y, members=members, recipe=Recipe(steps=30, compile=on)).fleet.predict(x)
        for on in (False, True)
    ]
    torch.testing.assert_close(*outputs, atol=1e-3, rtol=1e-3)
