"""What a claim measures: the system or a baseline, it does not know which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lamina.networks.size import count_params
from lamina.training.fit import Fitted, fit
from lamina.training.member import Member
from lamina.training.recipe import Recipe

Maker = Callable[..., nn.Module]


class Arm:
    """One side of a comparison: makes networks at the claim's budget and counts what they cost.

    Attributes:
        params: of each network that was made.
        steps: updates of all trainings by `fit`.
    """

    def __init__(self, make: Maker, params: int | None = None) -> None:
        self._make, self._budget = make, params
        self.params: list[int] = []
        self.steps = 0

    def __call__(self, in_features: int, out_features: int, *, seed: int, **options: Any) -> nn.Module:
        """A new network with weights drawn from `seed`.

        Args:
            in_features: number of inputs.
            out_features: number of outputs.
            seed: of the initial weights; torch's own generator is left as it was.
            options: what the arms of the claim understand, such as ``depth``; ``params`` or ``width`` take the place
                of the claim's budget.
        """
        if self._budget is not None and not {"params", "width"} & options.keys():
            options["params"] = self._budget
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = self._make(in_features, out_features, **options)
        self.params.append(count_params(network))
        return network

    def fit(
        self,
        networks: Sequence[nn.Module] | nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        members: Sequence[Member] | None = None,
        recipe: Recipe = Recipe(),
        seed: int = 0,
    ) -> Fitted:
        """`lamina.fit` on the processor, with its steps counted."""
        found = fit(networks, x, y, members=members, recipe=recipe, seed=seed, device="cpu")
        self.steps += sum(trace.steps for trace in found.traces)
        return found
