"""Settings: what is tried for every network alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import qmc

from lamina.errors import LaminaError


@dataclass(frozen=True)
class Setting:
    """How one member of a fleet is trained, apart from what all members share.

    Args:
        learning_rate: the peak of the schedule. The default suits networks of some ten thousand parameters under
            AdamW with gradient clipping.
        weight_decay: decoupled, relative to the learning rate, on weight matrices only.
        dropout: the share of hidden features set to zero in training.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 2e-1
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise LaminaError(f"learning_rate is {self.learning_rate}, it has to be greater than 0")
        if not self.weight_decay >= 0:
            raise LaminaError(f"weight_decay is {self.weight_decay}, it has to be 0 or greater")
        if not 0 <= self.dropout < 1:
            raise LaminaError(f"dropout is {self.dropout}, it has to be at least 0 and below 1")

    def to_dict(self) -> dict[str, float]:
        """The setting as plain numbers, for JSON."""
        return asdict(self)


def draw_settings(n: int) -> list[Setting]:
    """The `n` settings that every network gets: the defaults first, then points that fill the space evenly.

    The points are a Halton sequence (the first `n` of it for every `n`, so that a larger search contains the smaller
    one): learning rate log-uniform in [1e-3, 1e-2], weight decay log-uniform in [1e-2, 1], dropout uniform in
    [0, 0.4].
    """
    if n < 1:
        raise LaminaError(f"settings is {n}, it has to be at least 1")
    unit = qmc.Halton(3, scramble=True, rng=np.random.default_rng(20)).random(n - 1) if n > 1 else []
    return [Setting()] + [
        Setting(
            learning_rate=float(f"{1e-3 * 10**a:.3g}"),
            weight_decay=float(f"{1e-2 * 100**b:.3g}"),
            dropout=round(0.4 * c, 3),
        )
        for a, b, c in unit
    ]
