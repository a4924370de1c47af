"""Schedules: the share of the peak learning rate at every step of a training."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lamina.errors import LaminaError, unknown


def _warm_up(step: Tensor, steps: int, warmup: float, after: Callable[[Tensor], Tensor]) -> Tensor:
    """A straight rise over the share `warmup` of the steps, then `after` of the share of the rest that is gone."""
    rise = max(1.0, warmup * steps)
    gone = (step - rise) / max(1.0, steps - rise)
    return torch.where(step < rise, ((step + 1) / rise).clamp(max=1.0), after(gone))


def _cosine(start: float, end: float, share: Tensor) -> Tensor:
    """From `start` at share 0 to `end` at share 1 along half a cosine."""
    return end + (start - end) * 0.5 * (1 + torch.cos(math.pi * share))


def constant(step: Tensor, steps: int, warmup: float) -> Tensor:
    """The peak throughout, after the warm-up."""
    return _warm_up(step, steps, warmup, torch.ones_like)


def linear(step: Tensor, steps: int, warmup: float) -> Tensor:
    r"""Warm-up, then straight down to zero: :math:`1 - s`, with the share :math:`s` of the remaining steps gone."""
    return _warm_up(step, steps, warmup, lambda share: 1 - share)


def cosine(step: Tensor, steps: int, warmup: float) -> Tensor:
    r"""Warm-up, then half a cosine down to zero: :math:`(1 + \cos \pi s)/2`, with the share :math:`s` gone.

    Source: Loshchilov and Hutter 2017, SGDR: Stochastic Gradient Descent with Warm Restarts, arXiv:1608.03983,
    without its restarts.
    """
    return _warm_up(step, steps, warmup, lambda share: _cosine(1.0, 0.0, share))


def one_cycle(step: Tensor, steps: int, warmup: float) -> Tensor:
    """Half a cosine from 1/25 up to the peak in the first 30 % of the steps, half a cosine down to 1/250,000.

    The numbers are those of `torch.optim.lr_scheduler.OneCycleLR`, which this agrees with at every step. The rise is
    part of the schedule: `warmup` does not change it.

    Source: Smith and Topin 2019, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates,
    arXiv:1708.07120.
    """
    start, end = 1 / 25, 1 / 25 / 1e4
    top, last = 0.3 * steps - 1, steps - 1
    rising = _cosine(start, 1.0, step / top) if top > 0 else torch.ones_like(step)
    falling = _cosine(1.0, end, (step - top) / (last - top))
    return torch.where(step <= top, rising, falling)


SCHEDULES: dict[str, Callable[[Tensor, int, float], Tensor]] = {
    "constant": constant,
    "cosine": cosine,
    "linear": linear,
    "one_cycle": one_cycle,
}


def factors(name: str, steps: int, warmup: float) -> Tensor:
    r"""The share of the peak learning rate at every step.

    In the warm-up, over :math:`r = \max(1, w T)` of the :math:`T` steps, step :math:`t = 0, 1, \dots` has
    :math:`\min(1, (t + 1)/r)`.

    Args:
        name: one of `SCHEDULES`.
        steps: in the whole training.
        warmup: :math:`w`, the share of the steps in which the rate rises to its peak, from 0 to 1.

    Returns:
        (steps,) in float32.

    Raises:
        LaminaError: there is no schedule of this name, no step, or the warm-up is no share.
    """
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if steps < 1:
        raise LaminaError(f"steps is {steps}, it has to be at least 1")
    if not 0 <= warmup <= 1:
        raise LaminaError(f"warmup is {warmup}, it has to be a share of the steps, from 0 to 1")
    return SCHEDULES[name](torch.arange(steps, dtype=torch.float64), steps, warmup).float()
