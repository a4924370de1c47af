"""Training: one path for one network or a fleet of them."""

from lamina.training.device import choose_device
from lamina.training.fit import Fitted, fit
from lamina.training.fleet import Fleet
from lamina.training.head import Head
from lamina.training.member import Member, OutOfTime, Trace
from lamina.training.optimiser import Optimiser, make_optimiser
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting, draw_settings
from lamina.training.train import train

__all__ = [
    "Fitted",
    "Fleet",
    "Head",
    "Member",
    "Optimiser",
    "OutOfTime",
    "Recipe",
    "Setting",
    "Trace",
    "choose_device",
    "draw_settings",
    "fit",
    "make_optimiser",
    "train",
]
