"""Training of small networks on all rows by L-BFGS, as papers on splines do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def minimise(network: nn.Module, loss: Callable[[], Tensor], steps: int) -> None:
    """Take `steps` steps of L-BFGS with a line search after Wolfe on the parameters of the network."""
    optimiser = torch.optim.LBFGS(
        network.parameters(), max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=0, tolerance_change=0,
    )  # fmt: skip

    def evaluate() -> Tensor:
        optimiser.zero_grad()
        found = loss()
        found.backward()
        return found

    optimiser.step(evaluate)
