import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import lamina
from lamina.training import Fleet, Member, OutOfTime, Recipe, Setting, train
from lamina.training.memory import member_bytes
from lamina.training.racing import RUNGS, fallen_behind, rung_between, undivided

RECIPE = Recipe(steps=80, batch_size=16, racing=True, patience=1.0)
RATES = (1e-2, 1e-5, 3e-3, 1e-6, 1e-7)
SETTINGS = [Setting(learning_rate=rate, dropout=0.0) for rate in RATES]

finite_or_not = st.floats(0, 100) | st.just(math.inf)


def test_the_worse_half_of_the_settings_is_stopped_by_the_mean_over_its_members():
    entries = list("aabbccdd")
    losses = [1.0, 9.0, 4.0, 4.0, 2.0, 2.0, 7.0, 8.0]  # means 5, 4, 2, 7.5
    assert fallen_behind(entries, losses) == [0, 1, 6, 7]
    assert fallen_behind(list("abc"), [3.0, 1.0, 2.0]) == [0]
    assert fallen_behind(list("aaa"), [1.0, 2.0, 3.0]) == []


def test_settings_whose_members_diverged_are_last_and_equal_ones_go_by_their_order():
    assert fallen_behind(list("aabb"), [0.1, math.inf, 5.0, 6.0]) == [0, 1]
    assert fallen_behind(list("abcd"), [math.inf] * 4) == [2, 3]
    assert fallen_behind(list("abcd"), [1.0] * 4) == [2, 3]


@given(st.lists(st.tuples(st.integers(0, 5), finite_or_not), min_size=1, max_size=20))
def test_whole_settings_stop_at_most_half_of_them_and_none_that_is_better_than_one_that_goes_on(members):
    entries, losses = [e for e, _ in members], [loss for _, loss in members]
    stopped = {entries[i] for i in fallen_behind(entries, losses)}
    going = set(entries) - stopped
    assert len(stopped) == len(set(entries)) // 2
    assert fallen_behind(entries, losses) == [i for i, e in enumerate(entries) if e in stopped]
    means = {e: np.mean([loss for o, loss in members if o == e]) for e in entries}
    assert max(means[e] for e in going) <= min((means[e] for e in stopped), default=math.inf)


@pytest.mark.parametrize("steps", [1, 2, 7, 40, 1073])
@pytest.mark.parametrize("every", [1, 3, 26])
def test_every_rung_is_met_once_at_the_first_look_behind_it(steps, every):
    looks = [*range(every, steps, every), steps]
    met = [b for a, b in zip([0, *looks], looks, strict=False) if rung_between(a, b, steps)]
    due = {min(look for look in looks if look >= rung * steps) for rung in RUNGS}
    assert met == sorted(due - {steps})


def data():
    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network(seed):
    return lamina.create("mlp", in_features=4, out_features=2, width=8, dropout=0.0, seed=seed)


def members(settings=SETTINGS, validation=True):
    held = np.arange(60, 90) if validation else np.empty(0, dtype=np.int64)
    return [Member(setting, seed, np.arange(60), held) for setting in settings for seed in range(2)]


def race(recipe=RECIPE, settings=SETTINGS, validation=True, **options):
    grid = members(settings, validation)
    fleet = Fleet([network(member.seed) for member in grid])
    return fleet, train(fleet, grid, *data(), recipe=recipe, **options)


def test_a_race_stops_settings_at_the_rungs_and_leaves_the_others_as_they_were():
    raced, traces = race()
    whole, full = race(replace(RECIPE, racing=False))
    steps = np.array([t.steps for t in traces]).reshape(5, 2)
    np.testing.assert_array_equal(np.sort(steps[:, 0]), [28, 28, 54, 80, 80])
    np.testing.assert_array_equal(steps[:, 0], steps[:, 1])
    assert [t.outraced for t in traces] == [t.steps < 80 for t in traces]
    assert not any(t.outraced for t in full)
    for i, (trace, other) in enumerate(zip(traces, full, strict=True)):
        seen = len(trace.validation)
        assert trace.validation == pytest.approx(other.validation[:seen], rel=1e-4)
        assert trace.loss == min(trace.validation)
        if not trace.outraced:
            torch.testing.assert_close(raced.parameters[i], whole.parameters[i], rtol=1e-4, atol=1e-5)
    losses = np.array([t.loss for t in traces]).reshape(5, 2).mean(1)
    assert not traces[2 * int(losses.argmin())].outraced


def test_members_that_are_stopped_keep_their_best_weights():
    fleet, traces = race()
    x, y = data()
    outputs = fleet.predict(x[60:])
    for output, trace in zip(outputs, traces, strict=True):
        loss = torch.nn.functional.cross_entropy(output, y[60:]).item()
        assert loss == pytest.approx(trace.loss, rel=1e-5)
    assert sum(t.outraced for t in traces) == 6


@pytest.mark.parametrize("options", [{"settings": SETTINGS[:1]}, {"validation": False}])
def test_without_a_choice_or_validation_parts_a_race_does_nothing(options):
    raced, traces = race(**options)
    whole, _ = race(replace(RECIPE, racing=False), **options)
    assert not any(t.outraced for t in traces)
    assert {t.steps for t in traces} == {80}
    assert torch.equal(raced.parameters, whole.parameters)


def test_a_race_goes_on_from_a_checkpoint_as_if_it_had_not_been_broken_off(tmp_path):
    whole, expected = race()
    calls = []

    def stop(done, planned):
        calls.append(done)
        if done >= 30:
            raise OutOfTime

    with pytest.raises(OutOfTime):
        race(checkpoint=tmp_path / "state", progress=stop)
    resumed, traces = race(checkpoint=tmp_path / "state")
    assert traces == expected
    assert calls[-1] == 30
    assert torch.equal(resumed.parameters, whole.parameters)


def test_a_setting_that_diverges_loses_to_one_that_does_not():
    _, traces = race(
        settings=[Setting(learning_rate=1e25, dropout=0.0), SETTINGS[0]], recipe=replace(RECIPE, clip=None)
    )
    assert [t.outraced for t in traces] == [True, True, False, False]
    assert traces[0].diverged


def test_parts_divide_no_setting():
    assert undivided(list("aabbcc"), 6) == [range(6)]
    assert undivided(list("aabbcc"), 5) == [range(4), range(4, 6)]
    assert undivided(list("aabbcc"), 3) == [range(2), range(2, 4), range(4, 6)]
    assert undivided(list("abab"), 3) == [range(4)]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=24), st.integers(1, 24))
def test_parts_are_everything_in_order_and_as_large_as_they_may_be(entries, most):
    parts = undivided(entries, most)
    assert [place for part in parts for place in part] == list(range(len(entries)))
    held = [{entries[i] for i in part} for part in parts]
    assert sum(map(len, held)) == len(set(entries))
    smallest = undivided(entries, 1)
    for part in parts:
        assert len(part) <= most or part in smallest


@pytest.mark.parametrize(("held", "at_once", "stopped"), [(10, 10, 6), (5, 4, 4), (1, 1, 0)])
def test_members_that_do_not_fit_at_once_race_in_parts_of_whole_settings(held, at_once, stopped):
    x, y = data()
    grid = members()
    each = member_bytes(network(0), 4, 16)
    fitted = lamina.fit(lambda i: network(grid[i].seed), x, y, members=grid, recipe=RECIPE, memory=held * each)
    assert fitted.at_once == at_once
    assert sum(t.outraced for t in fitted.traces) == stopped
    losses = np.array([t.loss for t in fitted.traces]).reshape(5, 2).mean(1)
    assert not fitted.traces[2 * int(losses.argmin())].outraced
