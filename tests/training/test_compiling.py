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


def program(name: str, monkeypatch: pytest.MonkeyPatch, steps: int, members: int = 1) -> list[bool]:
    """Whether `pays` says yes to the traced step of a fleet, for each time it is asked."""
    said: list[bool] = []
    monkeypatch.setattr("lamina.training.program.pays", lambda *asked: said.append(pays(*asked)))
    fleet = Fleet([lamina.create(name, in_features=8, out_features=2, params=5_000)] * members)
    x, y = torch.zeros(members, 64, 8), torch.zeros(members, 64, dtype=torch.int64)
    Program(fleet, fleet.parameters, x, y, None, Noise([(0,)] * members, fleet.device), compile=None, steps=steps)
    return said


@pytest.mark.parametrize(
    ("name", "steps", "members", "gains"),
    [
        ("kan", 100, 1, False),
        ("kan", 10**6, 1, True),
        ("kan", 10**6, 2, False),
        ("fan", 100, 1, False),
        ("fan", 10**6, 1, True),
        ("fan", 10**6, 2, False),
        ("mlp", 10**6, 1, False),
    ],
)
def test_only_long_trainings_with_splines_or_waves_are_expected_to_gain(name, steps, members, gains, monkeypatch):
    assert program(name, monkeypatch, steps, members) == [gains]


def test_plain_operations_stand_for_the_operators():
    x, low, scale = torch.randn(7, 3).double(), torch.full((3,), -2.0).double(), torch.full((3,), 1.5).double()
    edges, weight, y = (torch.randn(shape).double() for shape in ((7, 9, 3), (2, 9, 3), (7, 2)))
    inputs = {
        "spline_edges": (x, low, scale, 5, 3),
        "spline_edges_backward": (edges, x, low, scale, 5, 3),
        "spline_linear": (x, low, scale, weight, 5, 3),
        "spline_linear_backward": (y, x, low, scale, weight, 5, 3),
        "waves": (x, 1.0, 0.5),
        "waves_backward": (torch.cat([x, x], -1), torch.cat([x, x], -1), 1.0),
    }
    assert {getattr(torch.ops.lamina, name).default for name in inputs} == set(PLAIN)
    for name, values in inputs.items():
        call = getattr(torch.ops.lamina, name).default
        torch.testing.assert_close(PLAIN[call](*values), call(*values))


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
