"""A broken system is caught by the check that is made for it: autograd, vmap, compile, export."""

import copy

import pytest
from sound import NeverDrops, Sound, caught, made, names, output

from lamina.testing import transforms


def remember(self):
    self.forward = Sound.forward.__get__(copy.deepcopy(self))


BROKEN = [
    ("gradients", output(lambda self, x, y: y * y.detach())),
    ("vmap", made(remember)),
    ("vmap_training", NeverDrops),
    ("compile", output(lambda self, x, y: y if y.sum() > 0 else 2 * y)),
    ("export", output(lambda self, x, y: y.reshape(5, -1) if len(x) == 5 else y)),
]


@pytest.mark.parametrize(("name", "system"), BROKEN, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BROKEN)])
def test_catches_broken(name, system):
    assert caught(name, system)


def test_every_check_is_shown_to_fail():
    assert {name for name, _ in BROKEN} == names(transforms)
