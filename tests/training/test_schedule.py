import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from lamina.errors import LaminaError
from lamina.training.schedule import SCHEDULES, factors


def by_torch(steps, make):
    """The learning rates of a `torch.optim.lr_scheduler` on a peak of 1."""
    optimiser = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = make(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return torch.tensor(rates)


def warmed_up(optimiser, rise, after):
    """A scheduler that rises to the peak within `rise` steps and then is `after`."""
    first = lr_scheduler.LinearLR(optimiser, start_factor=1 / rise, total_iters=rise - 1)
    return lr_scheduler.SequentialLR(optimiser, [first, after], milestones=[rise])


@pytest.mark.parametrize(("steps", "rise"), [(10, 2), (100, 10), (250, 100)])
@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("cosine", lambda o, rest: lr_scheduler.CosineAnnealingLR(o, T_max=rest)),
        ("linear", lambda o, rest: lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=rest)),
        ("constant", lambda o, rest: lr_scheduler.ConstantLR(o, factor=1.0)),
    ],
)
def test_schedules_with_warm_up_are_torchs(name, after, steps, rise):
    theirs = by_torch(steps, lambda o: warmed_up(o, rise, after(o, steps - rise)))
    torch.testing.assert_close(factors(name, steps, rise / steps), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 10, 30, 100, 949])
@pytest.mark.parametrize("warmup", [0.0, 0.5])
def test_one_cycle_is_torchs(steps, warmup):
    theirs = by_torch(steps - 1, lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=steps))
    ours = factors("one_cycle", steps, warmup)
    torch.testing.assert_close(ours[:-1], theirs, rtol=1e-5, atol=1e-7)
    assert ours[-1].item() == pytest.approx(1 / 250_000)


@given(steps=st.integers(1, 300), warmup=st.floats(0, 1))
def test_cosine_is_its_formula_at_every_step(steps, warmup):
    rise = max(1.0, warmup * steps)
    expected = [
        min(1.0, (t + 1) / rise) if t < rise else 0.5 * (1 + math.cos(math.pi * (t - rise) / max(1.0, steps - rise)))
        for t in range(steps)
    ]
    torch.testing.assert_close(factors("cosine", steps, warmup), torch.tensor(expected), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SCHEDULES)
@given(steps=st.integers(1, 300), data=st.data())
def test_factors_are_shares_of_the_peak(name, steps, data):
    warmup = data.draw(st.floats(0, 1))
    share = factors(name, steps, warmup)
    assert share.shape == (steps,)
    assert share.dtype == torch.float32
    assert share.min() >= 0
    assert share.max() < 1 + 1 / max(1.0, warmup * steps)
    rise, fall = share[: share.argmax() + 1], share[share.argmax() :]
    assert (rise.diff() >= 0).all()
    assert (fall.diff() <= 0).all()


def test_without_warm_up_the_first_step_is_at_the_peak():
    for name in ("constant", "cosine", "linear"):
        assert factors(name, 50, 0.0)[0] == 1
    assert torch.equal(factors("constant", 50, 0.0), torch.ones(50))


def test_bad_input_is_refused():
    with pytest.raises(LaminaError, match=r"schedule 'cosin' is not known; the closest are: cosine"):
        factors("cosin", 10, 0.1)
    with pytest.raises(LaminaError, match=r"steps is 0, it has to be at least 1"):
        factors("cosine", 0, 0.1)
    for warmup in (-0.1, 1.5, math.nan):
        with pytest.raises(LaminaError, match=rf"warmup is {warmup}, it has to be a share"):
            factors("cosine", 10, warmup)
