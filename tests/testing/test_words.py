"""A broken system is caught by the check that is made for it: facts, documentation, repr, errors."""

import pytest
import torch.nn.functional as F
from sound import SoundNetwork, broken, caught, documented, names

from lamina.catalog import layer
from lamina.layers.arguments import described
from lamina.testing import words


class Unchecked(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=width, dropout=min(dropout, 0.99))


BROKEN = [
    ("facts", layer(domain="any", summary="a layer.", paper="")(broken())),
    ("facts", layer(domain="any", summary="a layer", paper="Doe 2020, Gains")(broken())),
    ("facts", layer(domain="any", summary="a layer", paper="Doe 2020, arXiv:1999.99999")(broken())),
    ("docstring", broken(__doc__=None)),
    ("docstring", documented("gain: factor", "factor")),
    ("docstring", documented(" Default 1.0.", "")),
    ("docstring", documented("Raises:", "Errors:")),
    ("docstring", documented("``.\n\n    Args", "``.\n    Args")),
    ("repr", broken(extra_repr=lambda self: "in_features=4")),
    ("repr", broken(extra_repr=lambda self: described(self).replace("gain=1.0", "gain=2.0"))),
    ("bad_arguments", Unchecked),
    ("bad_input", broken(forward=lambda self, x: F.linear(x, self.weight, self.bias))),
    ("bad_input", broken(forward=lambda self, x: F.linear(x[..., :4], self.weight, self.bias))),
]


@pytest.mark.parametrize(("name", "system"), BROKEN, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BROKEN)])
def test_catches_broken(name, system):
    assert caught(name, system)


def test_every_check_is_shown_to_fail():
    assert {name for name, _ in BROKEN} == names(words)
