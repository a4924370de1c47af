"""Checks of a system as a network: its size, its dropout, and that it can learn."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from lamina.errors import LaminaError
from lamina.networks.size import count_params
from lamina.testing.subject import IN, Subject, gap, require, rows


def check_width(subject: Subject) -> None:
    """The number of parameters grows with the width."""
    sizes = {width: count_params(subject.network(width=width)) for width in (1, 2, 3, 8, 21, 64)}
    for a, b in itertools.pairwise(sizes):
        require(sizes[a] < sizes[b], f"width {a} has {sizes[a]} parameters, width {b} has {sizes[b]}")


def check_budget(subject: Subject) -> None:
    """`create` meets a budget within 5 %, and says the smallest number of parameters if it cannot."""
    for in_features, params in itertools.product((5, 30), (1_000, 5_000, 20_000)):
        smallest = count_params(subject.network(in_features=in_features, width=1))
        try:
            found = count_params(subject.network(in_features=in_features, params=params))
        except LaminaError as error:
            require(smallest > params, f"params={params} is refused, though width 1 has {smallest} parameters")
            require(str(smallest) in str(error), f"the error does not say the smallest number {smallest}: {error}")
        else:
            off = abs(found - params) / params
            require(off <= 0.05 or smallest > params, f"params={params} gives {found}, {off:.1%} off")


def check_dropout(subject: Subject) -> None:
    """A network drops out in training mode only, with a rate that is a buffer, so that rates stack."""
    plain, network, x = subject.network(), subject.network(dropout=0.5), rows(64, IN)
    require(torch.equal(network.eval()(x), plain.eval()(x)), "dropout acts in evaluation mode")
    rates = [name for name, _ in network.named_buffers() if name.rpartition(".")[2] == "rate"]
    require(rates, "no buffer called rate: use lamina.networks.Dropout")
    network.train()
    require(gap(network(x), network(x)) > 1e-3, "dropout=0.5 changes nothing in training mode")


def check_learns_classes(subject: Subject) -> None:
    """Learns the random classes of 32 rows by heart."""
    labels = torch.arange(32) % 3
    logits = _overfit(subject, labels, F.cross_entropy)
    right = int((logits.argmax(1) == labels).sum())
    require(right == 32, f"of 32 rows with random classes, {right} are learnt")


def check_learns_values(subject: Subject) -> None:
    """Learns the random values of 32 rows by heart: at most a tenth of their variance is left."""
    values = rows(32, 3, seed=1)
    left = float((_overfit(subject, values, F.mse_loss) - values).square().mean() / values.var())
    require(left < 0.1, f"of the variance of 32 random values, {left:.0%} are left")


def _overfit(subject: Subject, target: Tensor, loss) -> Tensor:
    """The outputs in evaluation mode after 400 steps of Adam on 32 rows."""
    network, x = subject.network(params=5_000).train(), rows(32, IN)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for _ in range(400):
            optimiser.zero_grad()
            loss(network(x), target).backward()
            optimiser.step()
    with torch.no_grad():
        return network.eval()(x)
