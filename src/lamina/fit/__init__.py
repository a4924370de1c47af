"""Training: one path for one network or a fleet of them."""

from lamina.fit.fleet import Fleet
from lamina.fit.setting import Setting, draw_settings
from lamina.fit.train import Member, OutOfTime, Recipe, Trace, train

__all__ = ["Fleet", "Member", "OutOfTime", "Recipe", "Setting", "Trace", "draw_settings", "train"]
