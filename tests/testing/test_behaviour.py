"""A broken system is caught by the check that is made for it: shapes, types, devices, determinism, state."""

import pytest
import torch
import torch.nn.functional as F
from sound import Sound, SoundOnSets, broken, caught, made, names, output
from torch import nn

from lamina.testing import behaviour


def reproducible_noise(self, x, y):
    torch.rand(1)
    return y


class Counting(Sound):
    __doc__ = Sound.__doc__

    def __init__(self, in_features: int, out_features: int, *, gain: float = 1.0):
        super().__init__(in_features, out_features, gain=gain)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls.add_(1)
        return super().forward(x)


class Ordered(SoundOnSets):
    __doc__ = Sound.__doc__

    def forward(self, x):
        return super().forward(x).cumsum(-2)


def constant_weights(self):
    nn.init.ones_(self.weight)
    nn.init.zeros_(self.bias)


def unseeded(self):
    nn.init.normal_(self.weight, generator=torch.Generator().manual_seed(torch.seed() % 2**31))
    nn.init.zeros_(self.bias)


def once(self):
    if not hasattr(self, "drawn"):
        Sound.reset_parameters(self)
    self.drawn = True


BROKEN = [
    ("shapes", output(lambda self, x, y: y.flatten(0, -2) if y.ndim > 2 else y)),
    ("shapes", output(lambda self, x, y: y.squeeze(0))),
    ("empty_batch", output(lambda self, x, y: y if len(x) else x)),
    ("layout", broken(forward=lambda self, x: Sound.forward(self, x.as_strided(x.shape, (4, 1))))),
    ("rows_are_independent", output(lambda self, x, y: y - y.mean(0))),
    ("order_does_not_matter", Ordered),
    ("dtype", output(lambda self, x, y: y.float())),
    ("dtype", output(lambda self, x, y: (y * 2**8).round() / 2**8 if y.dtype == torch.float32 else y)),
    ("dtype", output(lambda self, x, y: y.to(torch.promote_types(x.dtype, torch.float32)))),
    ("dtype", output(lambda self, x, y: y + (0.5 if x.dtype == torch.bfloat16 else 0.0))),
    ("device", made(lambda self: self.register_buffer("held", torch.zeros(3, device="cpu")))),
    ("evaluation_is_deterministic", output(lambda self, x, y: F.dropout(y, 0.5))),
    ("evaluation_is_deterministic", output(reproducible_noise)),
    ("evaluation_is_deterministic", output(lambda self, x, y: (x.mul_(2), y)[1])),
    ("evaluation_is_deterministic", Counting),
    ("seed", broken(reset_parameters=constant_weights)),
    ("seed", broken(reset_parameters=unseeded)),
    ("reset", broken(reset_parameters=once)),
    ("state_dict", output(lambda self, x, y: y * vars(self).setdefault("secret", float(torch.rand(()))))),
]


@pytest.mark.parametrize(("name", "system"), BROKEN, ids=[f"{n}-{i}" for i, (n, _) in enumerate(BROKEN)])
def test_catches_broken(name, system):
    assert caught(name, system)


def test_every_check_is_shown_to_fail():
    assert {name for name, _ in BROKEN} == names(behaviour)
