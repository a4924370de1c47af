import time

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import lamina
from lamina.errors import LaminaError
from lamina.training import Fleet, Member, OutOfTime, Recipe, Setting, make_optimiser, train

RECIPE = Recipe(steps=60, batch_size=16)
TRAIN, VALIDATION = np.arange(60), np.arange(60, 90)


def data(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(90, 4, generator=generator)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def network(seed=0, dropout=0.0, **options):
    options = options or {"in_features": 4, "out_features": 2}
    return lamina.create("mlp", width=16, seed=seed, dropout=dropout, **options)


def fit(settings, recipe=RECIPE, x=None, y=None, **options):
    fleet = Fleet([network(i, s.dropout) for i, s in enumerate(settings)])
    members = [Member(s, i, TRAIN, VALIDATION) for i, s in enumerate(settings)]
    x, y = data() if x is None else (x, y)
    return fleet, train(fleet, members, x, y, recipe=recipe, **options)


def test_the_weights_kept_are_those_of_the_lowest_validation_loss():
    fleet, traces = fit([Setting(dropout=0.0), Setting(learning_rate=1e-2, dropout=0.0)])
    x, y = data()
    for output, trace in zip(fleet.predict(x[VALIDATION]), traces, strict=True):
        assert trace.loss == min(trace.validation)
        assert F.cross_entropy(output, y[VALIDATION]).item() == pytest.approx(trace.loss, rel=1e-5)


def test_members_do_not_influence_each_other():
    settings = [Setting(dropout=0.0, learning_rate=r) for r in (1e-3, 1e-2, 5e-2)]
    together, traces = fit(settings)
    for i, setting in enumerate(settings):
        alone = Fleet([network(i)])
        trace = train(alone, [Member(setting, i, TRAIN, VALIDATION)], *data(), recipe=RECIPE)[0]
        torch.testing.assert_close(together.parameters[i], alone.parameters[0], rtol=1e-4, atol=1e-5)
        assert traces[i].validation == pytest.approx(trace.validation, rel=1e-4)


def test_one_member_without_the_extras_is_a_plain_adamw_loop():
    """Constant rate, full batch, no averaging, no clipping: what anybody would write by hand."""
    x, y = data()
    recipe = Recipe(steps=30, batch_size=60, schedule="constant", warmup=0.0, averaging=0.0, clip=1e9, checks=1)
    fleet = Fleet([network()])
    setting = Setting(learning_rate=1e-2, weight_decay=0.1, dropout=0.0)
    train(fleet, [Member(setting, 0, TRAIN)], x, y, recipe=recipe)
    plain = network()
    matrices = [p for p in plain.parameters() if p.ndim > 1]
    vectors = [p for p in plain.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        F.cross_entropy(plain(x[TRAIN]), y[TRAIN]).backward()
        optimiser.step()
    torch.testing.assert_close(fleet.module(0)(x), plain(x), rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_numbers_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, _ = fit([Setting(dropout=0.3)])
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    second, _ = fit([Setting(dropout=0.3)])
    assert torch.equal(first.parameters, second.parameters)
    other, _ = fit([Setting(dropout=0.3)], seed=1)
    assert not torch.equal(first.parameters, other.parameters)


def test_a_member_that_diverges_is_said_and_harms_nobody():
    settings = [Setting(dropout=0.0), Setting(learning_rate=1e30, dropout=0.0)]
    fleet, traces = fit(settings)
    assert [t.diverged for t in traces] == [False, True]
    alone, _ = fit(settings[:1])
    torch.testing.assert_close(fleet.parameters[0], alone.parameters[0], rtol=1e-4, atol=1e-5)


def test_a_training_goes_on_from_its_checkpoint_to_the_same_weights(tmp_path):
    path, setting = tmp_path / "fleet.safetensors", Setting(dropout=0.2)
    undisturbed, traces = fit([setting])

    class Killed(Exception):
        pass

    def kill(done, planned):
        if done > 20:
            raise Killed

    with pytest.raises(Killed):
        fit([setting], checkpoint=path, progress=kill)
    seen = []
    resumed, again = fit([setting], checkpoint=path, progress=lambda done, planned: seen.append(done))
    assert seen[0] > 20
    assert torch.equal(resumed.parameters, undisturbed.parameters)
    assert again[0].validation == traces[0].validation
    other, _ = fit([Setting(dropout=0.2, learning_rate=1e-2)], checkpoint=path)
    fresh, _ = fit([Setting(dropout=0.2, learning_rate=1e-2)])
    assert torch.equal(other.parameters, fresh.parameters)


def test_the_deadline_ends_it():
    with pytest.raises(OutOfTime):
        fit([Setting()], deadline=time.monotonic() - 1)


def test_rows_of_weight_zero_teach_nothing():
    x, y = data()
    weight = torch.ones(90)
    weight[:30] = 0
    spoilt = y.clone()
    spoilt[:30] = 1 - spoilt[:30]
    (a, _), (b, _) = (fit([Setting(dropout=0.0)], x=x, y=t, weight=weight) for t in (y, spoilt))
    torch.testing.assert_close(a.parameters, b.parameters)


def test_a_regression_learns_a_line():
    x = torch.linspace(-1, 1, 90)[torch.randperm(90)][:, None]
    fleet = Fleet([network(in_features=1, out_features=1)])
    trace = train(fleet, [Member(Setting(dropout=0.0, learning_rate=2e-2), 0, TRAIN, VALIDATION)], x, 0.7 * x[:, 0])[0]
    assert trace.loss < 1e-3


def test_bfloat16_reaches_nearly_the_same_loss():
    _, (full,) = fit([Setting(dropout=0.0)])
    _, (half,) = fit([Setting(dropout=0.0)], recipe=Recipe(steps=60, batch_size=16, precision="bfloat16"))
    assert half.loss == pytest.approx(full.loss, rel=0.1)


def test_patience_stops_a_training_that_no_longer_improves():
    x, _ = data()
    y = torch.randint(0, 2, (90,), generator=torch.Generator().manual_seed(1))
    recipe = Recipe(steps=1000, batch_size=16, patience=0.1)
    _, (trace,) = fit([Setting(learning_rate=2e-2, dropout=0.0)], recipe=recipe, x=x, y=y)
    assert len(trace.validation) < recipe.checks
    assert len(trace.validation) - 1 - trace.best >= 0.1 * recipe.checks


def test_a_member_for_each_network_is_needed():
    with pytest.raises(LaminaError, match="1 members for a fleet of 2 networks"):
        train(Fleet([network(), network()]), [Member(Setting(), 0, TRAIN)], *data())


def test_an_optimiser_that_is_handed_on_makes_two_trainings_one():
    x, y = data()
    setting = Setting(learning_rate=1e-2, dropout=0.0)

    def steps(fleet, n, optimiser=None):
        recipe = Recipe(steps=n, batch_size=60, schedule="constant", warmup=0.0, averaging=0.0, checks=1)
        return train(fleet, [Member(setting, 0, TRAIN)], x, y, recipe=recipe, optimiser=optimiser)[0]

    once, twice, fresh = (Fleet([network()]) for _ in range(3))
    assert steps(once, 20).steps == 20
    optimiser = make_optimiser("adamw", twice.parameters, setting.weight_decay * twice.decayed(), twice.shapes)
    for _ in range(2):
        steps(twice, 10, optimiser)
        steps(fresh, 10)
    torch.testing.assert_close(once.parameters, twice.parameters, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(once.parameters, fresh.parameters, rtol=1e-2, atol=1e-3)
