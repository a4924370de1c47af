import numpy as np
import pytest
import torch
from torch import nn

import lamina
from lamina.training import Fleet, Member, Recipe, Setting, train
from lamina.training.run import RETRACE, Run

ROWS = np.arange(90)


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(90, 4, generator=generator)
    return x, torch.randint(0, 2, (90,), generator=generator)


def network(seed):
    return lamina.create("mlp", in_features=4, out_features=2, width=16, seed=seed, dropout=0.3)


def members(n):
    """Of rising learning rates, so that on random labels each stops earlier than the one before."""
    rows = [np.roll(ROWS, i) for i in range(n)]
    return [Member(Setting(learning_rate=2e-3 * 2**i), i, rows[i][:60], rows[i][60:]) for i in range(n)]


def run(n, recipe, make=network):
    fleet = Fleet([make(i) for i in range(n)])
    return Run(fleet, members(n), *data(), None, recipe, 0, None)


def trained(n, recipe, chosen=None, make=network):
    chosen = range(n) if chosen is None else chosen
    fleet = Fleet([make(i) for i in chosen])
    return fleet, train(fleet, [members(n)[i] for i in chosen], *data(), recipe=recipe)


def test_members_that_are_done_leave_and_the_numbers_of_the_rest_stay(monkeypatch):
    left = []
    leave = Run.leave
    monkeypatch.setattr(Run, "leave", lambda self, staying: (left.append(len(staying)), leave(self, staying))[1])
    recipe = Recipe(steps=1200, batch_size=16, patience=0.1)
    fleet, traces = trained(4, recipe)
    steps = [trace.steps for trace in traces]
    assert len(set(steps)) > 1
    assert left
    for i, trace in enumerate(traces):
        alone, (own,) = trained(4, recipe, [i])
        assert own.steps == trace.steps
        assert own.validation == pytest.approx(trace.validation, rel=1e-4)
        torch.testing.assert_close(fleet.parameters[i], alone.parameters[0], rtol=1e-3, atol=1e-4)


def test_nobody_leaves_for_less_than_a_new_trace_costs():
    state = run(2, Recipe(steps=RETRACE, batch_size=16, patience=0.0))
    for _ in range(3):
        state.update()
    state.look(3)
    assert state.active == [0, 1]


def test_a_diverged_member_leaves_and_the_others_go_on():
    state = run(3, Recipe(steps=1000, batch_size=16))
    state.update()
    state.optimiser.parameters[1] = float("nan")
    state.update()
    assert state.look(2)
    assert state.active == [0, 2]
    assert state.traces[1].diverged
    state.update()
    assert torch.isfinite(state.optimiser.parameters).all()


def test_batches_are_each_members_own_rows_in_an_order_of_its_own():
    state = run(3, Recipe(steps=100, batch_size=20))
    seen = []
    for step in range(3):
        state.step = step
        seen.append(state.indices())
    whole = torch.cat(seen, dim=1)
    for rows, member in zip(whole, members(3), strict=True):
        assert sorted(rows.tolist()) == sorted(member.train.tolist())
    state.step = 3
    assert not torch.equal(state.indices(), seen[0])


def test_schedules_may_be_each_members_own():
    own = [Member(Setting(), 0, ROWS, schedule=name) for name in ("constant", "one_cycle", None)]
    fleet = Fleet([network(i) for i in range(3)])
    state = Run(fleet, own, *data(), None, Recipe(steps=100, warmup=0.0), 0, None)
    peak = Setting().learning_rate
    assert state.rates[:, 0].tolist() == pytest.approx([peak] * 100)
    assert state.rates[0, 1] == pytest.approx(peak / 25)
    assert state.rates[-1, 2] < 1e-3 * peak


def test_a_checkpoint_holds_buffers_too(tmp_path):
    def make(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    recipe = Recipe(steps=40, batch_size=16, optimiser="nadam")
    first, second = run(2, recipe, make), run(2, recipe, make)
    first.load(tmp_path / "c")  # it is not there yet
    for _ in range(5):
        first.update()
    first.look(5)
    first.save(tmp_path / "c")
    second.load(tmp_path / "c")
    for state in (first, second):
        for _ in range(5):
            state.update()
        state.look(5)
    assert torch.equal(first.fleet.parameters, second.fleet.parameters)
    assert torch.equal(first.stack.buffers["1.running_mean"], second.stack.buffers["1.running_mean"])
    assert first.traces == second.traces
