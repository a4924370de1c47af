"""A broken system is caught by the check that is made for it: size, dropout, learning."""

import pytest
from sound import NeverDrops, SoundNetwork, caught, names, output

from lamina.testing import learning


class Wide(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=width**5, dropout=dropout)


class Fixed(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=8, dropout=dropout)


BROKEN = [
    ("width", Fixed),
    ("budget", Wide),
    ("dropout", NeverDrops),
    ("learns_classes", output(lambda self, x, y: 0 * y)),
    ("learns_values", output(lambda self, x, y: 0 * y)),
]


@pytest.mark.parametrize(("name", "system"), BROKEN, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BROKEN)])
def test_catches_broken(name, system):
    assert caught(name, system)


def test_every_check_is_shown_to_fail():
    assert {name for name, _ in BROKEN} == names(learning)
