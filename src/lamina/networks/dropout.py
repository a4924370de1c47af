"""Dropout whose rate is a tensor, so that networks with different rates stack into one fleet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lamina.layers.arguments import within


class Dropout(nn.Module):
    r"""Zeroes entries with probability `rate` in training mode and scales the others by ``1 / (1 - rate)``.

    The rate is a buffer: `torch.func.stack_module_state` gives every member of a fleet its own. It is a setting, not
    a thing learnt, so it does not stand in the state_dict. In evaluation mode the input is returned as it is; a
    trainer that knows all rates to be zero may call ``eval()`` on this module to save the random numbers.

    Args:
        rate: probability of a zero, from 0 to 0.99. Default 0.0: nothing is dropped.

    Shape:
        ``(*)`` to ``(*)``.

    Raises:
        LaminaError: `rate` is not from 0 to 0.99.

    Source:
        Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting, JMLR 15.
    """

    rate: Tensor

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        within(0.0, 0.99, dropout=rate)
        self.register_buffer("rate", torch.tensor(float(rate)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        # floor(u + 1 - rate) is 1 with probability 1 - rate, and several times faster than a comparison
        kept = (torch.rand_like(x, dtype=self.rate.dtype) + (1 - self.rate)).floor()
        return x * (kept / (1 - self.rate)).to(x.dtype)

    def extra_repr(self) -> str:
        return "" if self.rate.ndim or self.rate.is_meta else f"rate={self.rate.item():g}"
