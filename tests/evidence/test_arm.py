import numpy as np
import torch
from torch import nn

from lamina.evidence import Arm
from lamina.networks.factory import create
from lamina.training import Member, Recipe, Setting


def mlp(in_features, out_features, **options):
    return create("mlp", in_features=in_features, out_features=out_features, **options)


def test_the_budget_is_the_claims_unless_a_size_is_asked_for():
    arm = Arm(mlp, 1_000)
    arm(4, 2, seed=0)
    arm(4, 2, seed=0, width=8)
    arm(4, 2, seed=0, params=2_000)
    assert [abs(n - m) <= 0.05 * m for n, m in zip(arm.params, (1_000, arm.params[1], 2_000), strict=True)] == [
        True
    ] * 3
    assert arm.params[1] < 400


def test_weights_come_from_the_seed_and_leave_the_generator_alone():
    arm = Arm(lambda i, o: nn.Linear(i, o))
    before = torch.random.get_rng_state()
    a, b, c = arm(3, 2, seed=1), arm(3, 2, seed=1), arm(3, 2, seed=2)
    assert torch.equal(a.weight, b.weight)
    assert not torch.equal(a.weight, c.weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_steps_of_all_members_are_counted():
    arm, x = Arm(mlp), torch.randn(40, 4)
    networks = [arm(4, 2, seed=i, width=4) for i in range(3)]
    members = [Member(Setting(), i, np.arange(40)) for i in range(3)]
    arm.fit(networks, x, (x[:, 0] > 0).long(), members=members, recipe=Recipe(steps=7))
    assert arm.steps == 21


def test_an_arm_does_not_say_what_it_is():
    assert "mlp" not in repr(Arm(mlp, 10))
