"""Every check of the conformance kit passes a sound system and catches a broken one."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lamina.catalog import layer, network
from lamina.layers.arguments import described, features, positive, whole
from lamina.networks.dropout import Dropout
from lamina.testing import CHECKS, checks


@layer(domain="any", summary="dense layer with a gain", paper="Doe 2020, Gains, arXiv:2001.00001")
class Sound(nn.Module):
    """Dense layer ``gelu(gain * W x + b)``.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        gain: factor of the weights. Default 1.0.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Doe 2020, Gains, arXiv:2001.00001.
    """

    def __init__(self, in_features: int, out_features: int, *, gain: float = 1.0) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        positive(gain=gain)
        self.in_features, self.out_features, self.gain = in_features, out_features, gain
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.in_features))
        nn.init.zeros_(self.bias)

    def forward(self, x):
        return F.gelu(F.linear(features(x, self.in_features), self.gain * self.weight, self.bias))

    extra_repr = described


@network(domain="tables", summary="one hidden layer", paper="")
class SoundNetwork(nn.Module):
    """One hidden layer.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        width: hidden units.
        dropout: rate after the hidden layer. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.
    """

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, width=width)
        self.in_features, self.out_features, self.width, self.dropout = (
            in_features,
            out_features,
            width,
            dropout,
        )
        self.hidden, self.head = nn.Linear(in_features, width), nn.Linear(width, out_features)
        self.drop = Dropout(dropout)

    def forward(self, x):
        return self.head(self.drop(F.gelu(self.hidden(features(x, self.in_features)))))

    extra_repr = described


def broken(base=Sound, **members):
    """A subclass of a sound system with some of its members replaced."""
    return type("Broken", (base,), {"__doc__": base.__doc__, **members})


def output(change):
    """A layer whose output goes through ``change(self, x, y)``."""
    return broken(forward=lambda self, x: change(self, x, Sound.forward(self, x)))


def made(change):
    """A layer whose construction ends with ``change(self)``."""

    def __init__(self, in_features: int, out_features: int, *, gain: float = 1.0):
        Sound.__init__(self, in_features, out_features, gain=gain)
        change(self)

    return broken(__init__=__init__)


def documented(old, new):
    assert old in Sound.__doc__
    return broken(__doc__=Sound.__doc__.replace(old, new))


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


class Wide(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=width**5, dropout=dropout)


class Fixed(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=8, dropout=dropout)


class NeverDrops(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=width)


class Unchecked(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=width, dropout=min(dropout, 0.99))


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


def remember(self):
    self.forward = Sound.forward.__get__(copy.deepcopy(self))


BROKEN = [
    ("shapes", output(lambda self, x, y: y.flatten(0, -2) if y.ndim > 2 else y)),
    ("shapes", output(lambda self, x, y: y.squeeze(0))),
    ("empty_batch", output(lambda self, x, y: y if len(x) else x)),
    ("rows_are_independent", output(lambda self, x, y: y - y.mean(0))),
    ("dtype", output(lambda self, x, y: y.float())),
    ("dtype", output(lambda self, x, y: (y * 2**8).round() / 2**8 if y.dtype == torch.float32 else y)),
    ("device", made(lambda self: self.register_buffer("held", torch.zeros(3, device="cpu")))),
    ("evaluation_is_deterministic", output(lambda self, x, y: F.dropout(y, 0.5))),
    ("evaluation_is_deterministic", output(reproducible_noise)),
    ("evaluation_is_deterministic", output(lambda self, x, y: (x.mul_(2), y)[1])),
    ("evaluation_is_deterministic", Counting),
    ("seed", broken(reset_parameters=constant_weights)),
    ("seed", broken(reset_parameters=unseeded)),
    ("reset", broken(reset_parameters=once)),
    ("state_dict", output(lambda self, x, y: y * vars(self).setdefault("secret", float(torch.rand(()))))),
    ("gradients", output(lambda self, x, y: y * y.detach())),
    ("vmap", made(remember)),
    ("vmap_training", NeverDrops),
    ("compile", output(lambda self, x, y: y if y.sum() > 0 else 2 * y)),
    ("export", output(lambda self, x, y: y.reshape(5, -1) if len(x) == 5 else y)),
    ("width", Fixed),
    ("budget", Wide),
    ("dropout", NeverDrops),
    ("learns_classes", output(lambda self, x, y: 0 * y)),
    ("learns_values", output(lambda self, x, y: 0 * y)),
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
    with pytest.raises(AssertionError, match=r"\w{3,}"):
        dict(checks(system))[f"test_checks-{name}"]()


def test_every_check_is_shown_to_fail():
    assert {name for name, _ in BROKEN} == set(CHECKS)


@pytest.mark.parametrize("check", [pytest.param(c, id=n) for n, c in checks(Sound)])
def test_passes_sound_layer(check):
    check()
