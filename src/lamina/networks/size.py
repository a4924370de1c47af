"""The size of a network: its parameters, its operations, and the width that meets a budget."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lamina.errors import LaminaError


def count_params(module: nn.Module) -> int:
    """Number of parameters of `module`, shared ones once; buffers are not parameters."""
    return sum(p.numel() for p in module.parameters())


def flops(module: nn.Module, in_features: int) -> int:
    """Floating point operations of a forward pass of one row in evaluation mode.

    A multiplication and an addition count as two. Counted are matrix products, as torch's flop counter has
    them; elementwise functions are not.
    """
    parameter = next(module.parameters())
    row = torch.zeros(1, in_features, device=parameter.device, dtype=parameter.dtype)
    training = module.training
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            module.eval()(row)
    finally:
        module.train(training)
    return counter.get_total_flops()


def meta_size(build: Callable[[], nn.Module]) -> int:
    """Number of parameters of the network that `build` makes, without allocating it."""
    with torch.device("meta"):
        return count_params(build())


def solve_width(build: Callable[[int], nn.Module], params: int) -> int:
    """The width at which ``build(width)`` has nearest to `params` parameters, found by bisection.

    Networks are built on the meta device, so nothing is allocated and no random number is drawn.

    Args:
        build: makes a network of a given width; its number of parameters grows with the width.
        params: the budget.

    Raises:
        LaminaError: the network of width 1 is over the budget by more than 5 %.
    """

    def size(width: int) -> int:
        return meta_size(lambda: build(width))

    smallest = size(1)
    if smallest > 1.05 * params:
        raise LaminaError(f"params={params!r}: the smallest network has {smallest} parameters")
    low, high = 1, 2
    while size(high) <= params:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= params else (low, middle)
    return min((low, high), key=lambda width: abs(size(width) - params))
