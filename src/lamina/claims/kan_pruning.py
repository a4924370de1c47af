"""A Kolmogorov-Arnold network that is made sparse is pruned to the graph of the formula behind the data."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from lamina.claims._lbfgs import minimise
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.networks.kan.network import KAN

NODES = "hidden nodes left"
ERROR = "relative RMSE before pruning"
THRESHOLD, PENALTY = 0.1, 0.03


def network(in_features: int, out_features: int) -> KAN:
    """Five hidden nodes where one is enough."""
    return KAN([in_features, 5, out_features], grid=3, limit=1.0)


@claim(
    says="Trained with a penalty on the sizes of its edges and on how evenly they are shared, a network with more "
    "nodes than needed is pruned to the graph of the formula that made the data.",
    where="section 2.5 and figure 2.4",
    paper="Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756",
    system=network,
    targets=(Target(NODES, "value", at_most=1.5), Target(ERROR, "value", at_most=0.25)),
    data="500 rows drawn evenly from [-1, 1]^2 of exp(sin(pi x) + y^2), without noise",
    reported="Figure 2.4: a network of five hidden nodes is pruned to one of one, and its functions are read as the "
    "sine, the square and the exponential function.",
    limits="One function, trained for 200 and 100 steps of L-BFGS with a penalty of 0.03 and nodes of less than a "
    "tenth of the outputs pruned after each; these three numbers were chosen on seeds 0 to 4.",
)
def pruning(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Nodes that are left after training and pruning twice, and the error of the whole network after the first."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(500, 2, generator=generator, dtype=torch.float64) * 2 - 1
    y = torch.exp(torch.sin(np.pi * x[:, :1]) + x[:, 1:] ** 2)
    y = (y - y.mean()) / y.std()
    whole = cast(KAN, arm(2, 1, seed=seed).double())
    train(whole, x, y, steps=scale.pick(quick=100, full=200))
    with torch.no_grad():
        error = (whole(x) - y).square().mean().sqrt()
    small = whole.prune(x, threshold=THRESHOLD)
    train(small, x, y, steps=scale.pick(quick=50, full=100))
    return {NODES: float(small.prune(x, threshold=THRESHOLD).sizes[1]), ERROR: float(error)}


def train(network: KAN, x: Tensor, y: Tensor, steps: int) -> None:
    """Least squares and the penalty by L-BFGS, as in the paper."""
    minimise(network, lambda: (network(x) - y).square().mean() + PENALTY * network.penalty(x), steps)
