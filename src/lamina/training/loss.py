"""Losses over a fleet: one number per member."""

from __future__ import annotations

import torch
from torch import Tensor


def member_loss(output: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """The weighted mean loss of each member: cross-entropy for integer classes, squared error for values.

    Args:
        output: (members, rows, *, classes) logits; (members, rows, 1) values, or (members, rows, *) several of them.
        y: (members, rows, *) class codes (int64) or values (floating). The loss of a row with several is their mean.
        weight: (members, rows), or None for equal weights.

    Returns:
        (members,), in float32 or better. A member whose weights are all zero has a loss of zero.
    """
    output = output.to(torch.promote_types(output.dtype, torch.float32))
    if y.is_floating_point():
        losses = (output.reshape(y.shape) - y).square()
    else:
        # With the classes before the rows the softmax runs along whole vectors: five times faster for ten classes.
        logits, codes = output.flatten(1, -2), y.flatten(1)
        losses = -logits.mT.log_softmax(1).gather(1, codes.unsqueeze(1)).view(y.shape)
    rows = losses if y.ndim == 2 else losses.flatten(2).mean(2)
    if weight is None:
        return rows.mean(1)
    return (rows * weight).sum(1) / weight.sum(1).clamp_min(torch.finfo(rows.dtype).tiny)
