import time

import numpy as np
import pytest
import torch
from torch import nn

import lamina
from lamina.errors import LaminaError, LaminaWarning
from lamina.networks import KAN
from lamina.training import Member, OutOfTime, Recipe, Setting
from lamina.training.memory import member_bytes

RECIPE = Recipe(steps=40, batch_size=16)


def data():
    x = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
    return x, (x[:, 0] > x[:, 1]).astype(np.int64)


def network(seed, dropout=0.3):
    return lamina.create("mlp", in_features=4, out_features=2, width=8, dropout=dropout, seed=seed)


def members(n):
    rows = np.arange(80)
    return [Member(Setting(learning_rate=1e-3 * (i + 1)), i, rows[:60], rows[60:]) for i in range(n)]


def test_one_module_is_a_fleet_of_one():
    x, y = data()
    fitted = lamina.fit(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), x, y, recipe=Recipe(steps=400))
    assert len(fitted.fleet) == 1
    outputs = fitted.fleet.module(0)(torch.from_numpy(x)).argmax(1).numpy()
    assert (outputs == y).mean() > 0.9


def test_parts_that_fit_the_memory_give_the_numbers_of_the_whole():
    x, y = data()
    whole = lamina.fit(network, x, y, members=members(5), recipe=RECIPE)
    each = member_bytes(network(0), 4, 16)
    seen = []
    parts = lamina.fit(
        network, x, y, members=members(5), recipe=RECIPE, memory=2 * each, progress=lambda *p: seen.append(p)
    )
    assert (whole.at_once, parts.at_once) == (5, 2)
    torch.testing.assert_close(parts.fleet.parameters, whole.fleet.parameters, rtol=1e-5, atol=1e-6)
    assert [t.best for t in parts.traces] == [t.best for t in whole.traces]
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (40, 40)


def test_networks_may_be_given_as_a_list_and_are_copied():
    x, y = data()
    built = [network(i) for i in range(2)]
    before = [p.clone() for p in built[0].parameters()]
    fitted = lamina.fit(built, x, y, recipe=RECIPE)
    assert len(fitted.fleet) == 2
    assert all(torch.equal(a, b) for a, b in zip(before, built[0].parameters(), strict=True))


def test_batch_normalisation_keeps_the_statistics_of_the_best_look():
    x, y = data()
    made = [nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)) for _ in range(2)]
    fitted = lamina.fit(made, x, y, members=members(2), recipe=RECIPE)
    loss = nn.functional.cross_entropy(fitted.fleet.predict(torch.from_numpy(x[60:]))[1], torch.from_numpy(y[60:]))
    assert loss.item() == pytest.approx(fitted.traces[1].loss, rel=1e-4)
    assert fitted.fleet.buffers["1.num_batches_tracked"].min() > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": np.zeros(79, np.int64)}, "y has 79 rows, x has 80"),
        ({"x": np.zeros(80, np.float32)}, r"x and y have shapes \(80,\) and \(80,\), they have to be"),
        ({"weight": np.ones(3)}, "weight has 3 rows, x has 80"),
        ({"networks": network}, "say by members how many"),
        ({"networks": []}, "0 members for 0 networks"),
        ({"networks": [network(0)], "members": members(2)}, "2 members for 1 networks"),
        ({"memory": "lots"}, "memory is 'lots'"),
    ],
)
def test_what_does_not_agree_is_said(change, message):
    x, y = data()
    arguments = {"networks": [network(0)], "x": x, "y": y, "recipe": RECIPE, **change}
    with pytest.raises(LaminaError, match=message):
        lamina.fit(arguments.pop("networks"), arguments.pop("x"), arguments.pop("y"), **arguments)


def test_the_deadline_ends_it():
    x, y = data()
    with pytest.raises(OutOfTime):
        lamina.fit([network(0)], x, y, recipe=RECIPE, deadline=time.monotonic() - 1)


class Branching(nn.Linear):
    def forward(self, x):
        h = super().forward(x)
        return h if h.sum() > 0 else -h


def test_what_cannot_be_stacked_is_trained_judged_and_asked_one_by_one():
    x, y = data()
    with pytest.warns(LaminaWarning, match="Branching cannot be trained as a stack"):
        fitted = lamina.fit([Branching(4, 2) for _ in range(2)], x, y, recipe=RECIPE)
    rows = torch.from_numpy(x)
    torch.testing.assert_close(
        fitted.fleet.predict(rows, chunk=80), torch.stack([fitted.fleet.module(i)(rows) for i in range(2)])
    )


def test_networks_with_several_targets_a_row_learn_them():
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    y = torch.stack([x[:, 0], -x[:, 1]], 1)
    alike = [Member(Setting(5e-2, weight_decay=0.0), i, np.arange(200)) for i in range(3)]
    fitted = lamina.fit([torch.nn.Linear(4, 2) for _ in range(3)], x, y, members=alike, recipe=Recipe(steps=400))
    assert fitted.fleet.predict(x).sub(y).abs().max() < 0.01


def test_the_best_member_is_that_with_the_lowest_validation_loss():
    fitted = lamina.fit([network(i) for i in range(3)], *data(), members=members(3), recipe=RECIPE)
    losses = [trace.loss for trace in fitted.traces]
    assert losses[fitted.best] == min(losses)


def test_a_penalty_leaves_few_edges():
    """Of four inputs one matters: with the penalty of a KAN nearly all of the output depends on it, by one node."""
    x = torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y = (3 * x[:, :1]).sin()
    shares, errors = [], []
    for penalty in (0.0, 0.03):
        torch.manual_seed(0)
        recipe = Recipe(steps=600, batch_size=64, penalty=penalty)
        everything = Member(Setting(1e-2, weight_decay=0.0, dropout=0.0), 0, np.arange(300))
        fitted = lamina.fit(KAN([4, 3, 1], grid=3, limit=1.0), x, y, members=[everything], recipe=recipe)
        network = fitted.fleet.module(0)
        shares.append(network.scores(x)[1].max().item())
        errors.append((network(x) - y).square().mean().sqrt().item())
    assert shares[0] < 0.7
    assert shares[1] > 0.95
    assert max(errors) < 0.1


class Penalised(nn.Linear):
    """A layer whose penalty is what it was made with, of its weights."""

    def __init__(self, penalty):
        super().__init__(4, 2)
        self.penalty = penalty and (lambda x: penalty(self.weight))


@pytest.mark.parametrize(
    ("penalty", "said"),
    [
        (None, r"the recipe's penalty is 0.1, but Penalised has no method penalty\(x\)"),
        (lambda w: w.abs().sum(1), r"the penalty of Penalised has shape \(2,\), it has to be a tensor of one number"),
        (lambda w: 0.5, "the penalty of Penalised has type float, it has to be a tensor of one number"),
    ],
)
@pytest.mark.parametrize("members", [1, 2])
def test_a_penalty_that_is_no_number_is_named(penalty, said, members):
    x, y = data()
    with pytest.raises(LaminaError, match=said):
        lamina.fit([Penalised(penalty) for _ in range(members)], x, y, recipe=Recipe(penalty=0.1))


def test_what_a_penalty_weighs_is_a_number():
    with pytest.raises(LaminaError, match="penalty is -1, it has to be a finite number of at least 0"):
        Recipe(penalty=-1)
