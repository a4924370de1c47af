import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.training.optimiser import OPTIMISERS, AdamW, make_optimiser

SHAPES = [torch.Size(s) for s in ((5, 3), (5,), (2, 5, 2), (3, 4), (), (4, 4))]
SIZE = sum(shape.numel() for shape in SHAPES)
STEPS = 100
REFERENCES = {
    "sgd": lambda groups: [torch.optim.SGD([t for g in groups for t in g], momentum=0.9)],
    "adam": lambda groups: [torch.optim.Adam([t for g in groups for t in g])],
    "adamw": lambda groups: [torch.optim.AdamW([t for g in groups for t in g])],
    "nadam": lambda groups: [torch.optim.NAdam([t for g in groups for t in g])],
    "muon": lambda groups: [torch.optim.Muon(groups[0]), torch.optim.AdamW(groups[1])],
}
NAMES = [
    pytest.param(n, marks=pytest.mark.skipif(n == "muon" and not hasattr(torch.optim, "Muon"), reason="PyTorch < 2.9"))
    for n in REFERENCES
]


def problem(members, seed, dtype=torch.float64, steps=STEPS):
    """Parameters to start from, gradients, and rates that change from step to step."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(members, SIZE, generator=generator, dtype=dtype)
    gradients = torch.randn(steps, members, SIZE, generator=generator, dtype=dtype)
    gradients *= torch.logspace(-3, 1, SIZE, dtype=dtype)  # entries of very different sizes
    factors = torch.rand(steps, generator=generator, dtype=dtype) + 0.5
    return start, gradients, factors


def by_torch(name, start, gradients, rates, decay):
    """What `torch.optim` makes of one network whose parameters stand in a row."""
    sizes = [shape.numel() for shape in SHAPES]

    def tensors(row):
        return [part.reshape(shape).clone() for part, shape in zip(row.split(sizes), SHAPES, strict=True)]

    own = tensors(start)
    groups = [t for t in own if t.ndim == 2], [t for t in own if t.ndim != 2]
    optimisers = REFERENCES[name](groups)
    for gradient, rate in zip(gradients, rates, strict=True):
        for tensor, part in zip(own, tensors(gradient), strict=True):
            tensor.grad = part
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group.update(lr=rate.item(), weight_decay=decay)
            optimiser.step()
    return torch.cat([t.flatten() for t in own])


def run(optimiser, gradients, rates):
    for gradient, rate in zip(gradients, rates, strict=True):
        optimiser.step(gradient.clone(), rate)


def test_every_optimiser_has_a_reference():
    assert set(OPTIMISERS) == set(REFERENCES)


@pytest.mark.parametrize("name", NAMES)
@given(rate=st.floats(1e-4, 1e-1), decay=st.floats(0.01, 0.5), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=5)
def test_a_fleet_of_one_is_torchs_optimiser_over_100_steps(name, rate, decay, seed):
    start, gradients, factors = problem(1, seed)
    ours = start.clone()
    optimiser = make_optimiser(name, ours, torch.tensor(decay, dtype=torch.float64), SHAPES)
    run(optimiser, gradients, (rate * factors)[:, None])
    theirs = by_torch(name, start[0], gradients[:, 0], rate * factors, decay)
    assert (ours[0] - theirs).abs().max() <= 1e-6 * theirs.abs().max()
    assert (theirs - start[0]).abs().min() > 1e-6  # every entry has moved by more than what is allowed


@pytest.mark.parametrize("name", NAMES)
def test_every_member_is_its_own_run_of_torchs_optimiser(name):
    rates, decays = torch.tensor([1e-3, 1e-2, 5e-2]), torch.tensor([[0.3], [0.0], [0.1]])
    start, gradients, factors = problem(3, 1, torch.float32)
    ours = start.clone()
    run(make_optimiser(name, ours, decays, SHAPES), gradients, factors[:, None] * rates)
    for k in range(3):
        theirs = by_torch(name, start[k], gradients[:, k], factors * rates[k], decays[k].item())
        assert (ours[k] - theirs).abs().max() <= 2e-6 * theirs.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_decay_may_be_of_every_parameter(name):
    start, gradients, factors = problem(2, 2)
    mask = (torch.arange(SIZE) < 15).double()
    ours = start.clone()
    run(make_optimiser(name, ours, torch.tensor([[0.2], [0.4]]) * mask, SHAPES), gradients, factors[:, None] * 1e-2)
    for k, decay in enumerate((0.2, 0.4)):
        with_decay, without = (by_torch(name, start[k], gradients[:, k], factors * 1e-2, d) for d in (decay, 0.0))
        theirs = torch.where(mask == 1, with_decay, without)
        torch.testing.assert_close(ours[k], theirs, rtol=1e-6, atol=1e-6)
