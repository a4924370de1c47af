import psutil
import pytest
import torch
from torch import nn

import lamina
from lamina.catalog import table_networks
from lamina.errors import LaminaError
from lamina.networks import KAN
from lamina.training import Fleet
from lamina.training.memory import COPIES, free_bytes, member_bytes, members_at_once, to_bytes
from lamina.training.noise import Noise
from lamina.training.program import Program


@pytest.mark.parametrize(
    ("text", "n"), [("2GB", 2e9), ("1.5 GiB", 1.5 * 2**30), (1000, 1000), ("500mb", 5e8), ("7", 7), ("7 B", 7)]
)
def test_sizes_are_read(text, n):
    assert to_bytes(text) == n


@pytest.mark.parametrize("text", ["", "two", "2TBs", "-1GB", 0, "nan"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(LaminaError, match=f"memory is {text!r}, it has to be a number of bytes"):
        to_bytes(text)


def test_free_memory_is_less_than_all():
    assert 0 < free_bytes(torch.device("cpu")) < psutil.virtual_memory().total


@pytest.mark.parametrize("name", table_networks())
def test_the_estimate_is_near_what_a_traced_step_holds(name):
    """Of the step itself; the copies of the parameters are counted by name."""
    features, batch, members = 20, 128, 2
    network = lamina.create(name, in_features=features, out_features=3, params=20_000, dropout=0.1)
    fleet = Fleet([network] * members)
    x, y = torch.zeros(members, batch, features), torch.zeros(members, batch, dtype=torch.int64)
    program = Program(fleet, fleet.parameters, x, y, None, Noise([(0,)] * members, fleet.device))
    parameters = fleet.parameters.shape[1] * 4
    step = program.peak / members
    estimate = member_bytes(network, features, batch) - (COPIES - 2) * parameters
    assert 0.8 * step < estimate < 2.0 * step


def test_the_estimate_counts_a_penalty():
    network, members, batch = KAN([20, 30, 3]), 2, 128
    fleet = Fleet([network] * members)
    x, y = torch.zeros(members, batch, 20), torch.zeros(members, batch, dtype=torch.int64)
    noise = Noise([(0,)] * members, fleet.device)
    step = Program(fleet, fleet.parameters, x, y, None, noise, penalty=0.1).peak / members
    estimate = member_bytes(network, 20, batch, penalty=True) - (COPIES - 2) * fleet.parameters.shape[1] * 4
    assert 0.8 * step < estimate < 2.0 * step


def test_members_are_as_many_as_fit():
    network = nn.Linear(4, 2)
    each = member_bytes(network, 4, 32)
    assert [members_at_once(network, 4, 32, 10, n * each) for n in (0, 1, 3.5, 100)] == [1, 1, 3, 10]


def test_a_network_that_cannot_be_looked_at_goes_alone():
    class Branching(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else x

    assert members_at_once(Branching(4, 2), 4, 32, 10, 10**12) == 1


def test_a_stack_holds_no_more_than_pays(monkeypatch):
    network, batch = nn.Linear(4, 2), 32
    activations = member_bytes(network, 4, batch) - COPIES * 4 * 10
    monkeypatch.setattr("lamina.training.memory.STACK", 3.5 * activations)
    assert members_at_once(network, 4, batch, 10, 10**12) == 3
    assert members_at_once(network, 4, batch, 2, 10**12) == 2
