"""Checks of a claim: its facts are told, both sides are treated alike, and it could come out otherwise."""

from __future__ import annotations

import itertools
import re
from typing import Any

import torch
from torch import Tensor, nn

from lamina.evidence.arm import Arm, Maker
from lamina.evidence.claim import Claim, Scale
from lamina.evidence.judge import HOLDS, judge
from lamina.evidence.reproduce import SEEDS, measure, measure_arm
from lamina.testing.subject import require
from lamina.testing.words import REFERENCE

BUDGET = 0.05


def check_claim_facts(claim: Claim) -> None:
    """A sentence, a paper and a place in it, data, what the paper reports, and a target at scale quick."""
    for fact in ("says", "where", "data", "reported", "limits"):
        require(getattr(claim, fact).strip(), f"the claim {claim.name} has no {fact}")
    for paper in filter(None, claim.paper.split("; ")):
        require(re.search(r"\b(19|20)\d\d\b", paper), f"no year in {paper!r}")
        require(REFERENCE.search(paper), f"neither arXiv id nor DOI in {paper!r}")
    require(claim.targets_at(Scale.QUICK), "no target is measured at scale quick")


def check_claim_guards(claim: Claim) -> None:
    """The same seed gives the same numbers, budgets are equal, and neither swapped arms nor noise make it hold."""
    measured = [measure(claim, seed, Scale.QUICK) for seed in range(SEEDS[Scale.QUICK])]
    _require_same(measured[0], measure(claim, 0, Scale.QUICK))
    if not claim.unequal:
        _require_equal_budgets(claim, measured[0])
    values = {arm: _joined(measured, arm) for arm in measured[0]}
    if _verdict(claim, values) == HOLDS:
        for baseline in claim.baselines:
            swapped = values | {claim.name: values[baseline], baseline: values[claim.name]}
            again = _verdict(claim, swapped) == HOLDS
            require(not again, f"the claim {claim.name} holds, and with {baseline} in the place of the system too")
    noise = Arm(_noisy(claim.system), claim.params)
    noisy = [{claim.name: measure_arm(claim, noise, seed, Scale.QUICK)} for seed in range(SEEDS[Scale.QUICK])]
    verdict = _verdict(claim, values | {claim.name: _joined(noisy, claim.name)})
    require(verdict != HOLDS, f"the claim {claim.name} holds for noise in the place of the system")


def _joined(measured: list[Any], arm: str) -> dict[str, list[float]]:
    return {metric: [m[arm]["values"][metric] for m in measured] for metric in measured[0][arm]["values"]}


def _verdict(claim: Claim, values: dict[str, dict[str, list[float]]]) -> str:
    return judge(claim.targets_at(Scale.QUICK), values)[0]


def _require_same(first: Any, second: Any) -> None:
    for arm, one in first.items():
        for metric, value in one["values"].items():
            other = second[arm]["values"][metric]
            same = value == other or (value != value and other != other)  # NaN is the same NaN
            require(same, f"{metric} of {arm} is {value} and then {other} with the same seed")


def _require_equal_budgets(claim: Claim, measured: Any) -> None:
    (name, system), *others = measured.items()
    costs = {"parameters": lambda arm: arm["params"], "steps": lambda arm: [arm["steps"]]}
    for (other, arm), (what, cost) in itertools.product(others, costs.items()):
        for a, b in itertools.zip_longest(cost(system), cost(arm), fillvalue=0):
            close = abs(a - b) <= BUDGET * max(a, b)
            require(close, f"{name} has {a} {what}, {other} has {b}: more than 5 % apart, and nothing says why")


def _noisy(make: Maker) -> Maker:
    """A maker of the same networks whose outputs know nothing but the input: an even hash of it, in [-1, 1]."""

    def noise(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        x = inputs[0].to(output.dtype).flatten(1)
        place = torch.arange(1, x.shape[1] + 1, dtype=x.dtype, device=x.device)
        seeds = (x * (1 + place.sqrt())).sum(1).view(-1, *[1] * (output.ndim - 1))
        columns = torch.arange(output[0].numel(), dtype=x.dtype, device=x.device).view_as(output[0])
        return 0 * output + torch.sin(12_989.8 * seeds + 78.233 * columns)

    def made(in_features: int, out_features: int, **options: Any) -> nn.Module:
        network = make(in_features, out_features, **options)
        network.register_forward_hook(noise)
        return network

    return made
