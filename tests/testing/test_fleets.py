"""A broken system is caught by the check that is made for it: training in a fleet."""

from dataclasses import replace

import pytest
import torch
from sound import NeverDrops, Sound, broken, caught, made, names, output

from lamina.testing import checks, fleets


def remember(self):
    """A tensor that is neither parameter nor buffer: all members of a fleet compute with the first one's."""
    self.scale = torch.rand(())
    self.forward = lambda x: Sound.forward(self, x) * self.scale


BROKEN = [
    ("fleet_step", made(remember)),
    ("fleet_step", output(lambda self, x, y: y if y.sum() > 0 else 2 * y)),
    ("fleet_step", broken(__lamina__=replace(Sound.__lamina__, stacks=False))),
    ("fleet_noise", NeverDrops),
]


@pytest.mark.parametrize(("name", "system"), BROKEN, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BROKEN)])
def test_catches_broken(name, system):
    assert caught(name, system)


def test_every_check_is_shown_to_fail():
    assert {name for name, _ in BROKEN} == names(fleets)


@pytest.mark.parametrize("name", ["fleet_step", "fleet_noise"])
def test_a_system_that_says_that_it_cannot_be_stacked_passes(name):
    system = output(lambda self, x, y: y if y.sum() > 0 else 2 * y)
    system.__lamina__ = replace(Sound.__lamina__, stacks=False)
    dict(checks(system))[f"sound-{name}"]()
