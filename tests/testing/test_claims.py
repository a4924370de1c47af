"""Each guard of a claim can fail."""

import dataclasses
import itertools

import numpy as np
import pytest
from torch import nn

from lamina.evidence import Claim, Target
from lamina.testing.claims import check_claim_facts, check_claim_guards

X = np.linspace(-1, 1, 64, dtype=np.float32)


class Line(nn.Module):
    """The line ``slope * x``, with `size` parameters."""

    def __init__(self, slope, size=4):
        super().__init__()
        self.slope, self.unused = slope, nn.Parameter(nn.init.zeros_(nn.Linear(1, size, bias=False).weight))

    def forward(self, x):
        return self.slope * x + 0 * self.unused.sum()


def maker(slope, size=4):
    return lambda in_features, out_features, **options: Line(slope, size)


def error(arm, seed, scale):
    """The error of a line of slope 1, with noise."""
    import torch

    x = torch.from_numpy(X)[:, None] + 0.01 * seed
    found = (arm(1, 1, seed=seed)(x) - x).square().mean()
    return {"error": float(found.detach()) + 0.01 * (1 + seed)}


def claimed(**changed):
    facts = {
        "name": "line",
        "measure": error,
        "says": "Its slope is right.",
        "where": "table 1",
        "paper": "Nobody 2020, T, arXiv:2001.00001",
        "targets": (Target("error", "ratio", at_most=0.5),),
        "system": maker(1.0),
        "baselines": {"flat": maker(0.0)},
        "params": None,
        "data": "drawn",
        "reported": "much",
        "limits": "small",
        "unequal": "",
    }
    return Claim(**{**facts, **changed})


def test_a_sound_claim_passes():
    check_claim_facts(claimed())
    check_claim_guards(claimed())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"limits": " "}, "has no limits"),
        ({"paper": "Nobody, T, arXiv:2410.02675"}, "no year"),
        ({"paper": "Nobody 2020, T"}, "neither arXiv id nor DOI"),
        ({"targets": (Target("error", "value", at_most=1, scale="full"),)}, "no target is measured at scale quick"),
    ],
)
def test_facts_that_are_missing_are_found(changed, message):
    with pytest.raises(AssertionError, match=message):
        check_claim_facts(claimed(**changed))


def test_another_number_with_the_same_seed_is_found():
    counter = itertools.count()

    def drifting(arm, seed, scale):
        return {"error": error(arm, seed, scale)["error"] + 1e-9 * next(counter)}

    with pytest.raises(AssertionError, match="with the same seed"):
        check_claim_guards(claimed(measure=drifting))


def test_unequal_budgets_are_found_unless_there_is_a_reason():
    unequal = claimed(baselines={"flat": maker(0.0, size=8)})
    with pytest.raises(AssertionError, match="line has 4 parameters, flat has 8"):
        check_claim_guards(unequal)
    check_claim_guards(dataclasses.replace(unequal, unequal="by nature"))


def test_a_claim_that_holds_either_way_is_found():
    loose = claimed(targets=(Target("error", "ratio", at_most=1e3),))
    with pytest.raises(AssertionError, match="with flat in the place of the system too"):
        check_claim_guards(loose)


def test_a_claim_that_noise_would_make_hold_is_found():
    def favour(arm, seed, scale):
        network = arm(1, 1, seed=seed)  # looks at the network instead of what it says
        return {"error": 1.0 - 0.9 * network.slope + 0.001 * seed}

    with pytest.raises(AssertionError, match="holds for noise"):
        check_claim_guards(claimed(measure=favour))
