"""A sound layer and a sound network, and how to break them."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from lamina.catalog import layer, network
from lamina.layers.arguments import described, features, positive, whole
from lamina.networks.dropout import Dropout
from lamina.testing import checks


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


@layer(domain="sets", summary="dense layer on tokens", paper="Doe 2020, Gains, arXiv:2001.00001")
class SoundOnSets(Sound):
    __doc__ = Sound.__doc__

    def forward(self, x):
        return super().forward(features(x, self.in_features) + x.mean(-2, keepdim=True))


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


class NeverDrops(SoundNetwork):
    __doc__ = SoundNetwork.__doc__

    def __init__(self, in_features: int, out_features: int, *, width: int, dropout: float = 0.0):
        super().__init__(in_features, out_features, width=width)


def caught(name, system):
    """Whether the check called `name` finds fault with `system`, in words."""
    try:
        dict(checks(system))[f"sound-{name}"]()
    except AssertionError as error:
        return len(str(error).split()) >= 3
    return False


def names(module):
    """The names of the checks in a module of the kit."""
    return {name.removeprefix("check_") for name in vars(module) if name.startswith("check_")}
