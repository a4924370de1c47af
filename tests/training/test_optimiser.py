import copy
import pickle
import subprocess
import sys

import pytest
import safetensors.torch
import torch

from lamina.errors import LaminaError
from lamina.training.optimiser import OPTIMISERS, make_optimiser

# PyTorch rounds products of bfloat16 matrices of these sizes alike one by one and batched; test_muon has the others.
SHAPES = [torch.Size(s) for s in ((32, 24), (32,), (2, 5, 2), (24, 32), (), (33, 47))]
SIZES = [shape.numel() for shape in SHAPES]
SIZE = sum(SIZES)
REFERENCES = {
    "sgd": lambda matrices, rest: [torch.optim.SGD([*matrices, *rest], momentum=0.9)],
    "adam": lambda matrices, rest: [torch.optim.Adam([*matrices, *rest])],
    "adamw": lambda matrices, rest: [torch.optim.AdamW([*matrices, *rest])],
    "nadam": lambda matrices, rest: [torch.optim.NAdam([*matrices, *rest])],
    "muon": lambda matrices, rest: [torch.optim.Muon(matrices), torch.optim.AdamW(rest)],
}
old = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
with_reference = pytest.mark.parametrize("name", [pytest.param(n, marks=[old] * (n == "muon")) for n in REFERENCES])
every = pytest.mark.parametrize("name", OPTIMISERS)


def problem(members, seed, dtype=torch.float32, steps=100):
    """Parameters to start from, gradients, and the shares of the peak rate at every step."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(members, SIZE, generator=generator, dtype=dtype)
    gradients = torch.randn(steps, members, SIZE, generator=generator, dtype=dtype)
    scale = 10 ** (4 * torch.rand(SIZE, generator=generator, dtype=dtype) - 3)
    shares = torch.rand(steps, generator=generator, dtype=dtype) + 0.5
    return start, gradients * scale, shares


def by_torch(name, start, gradients, rates, decay):
    """What `torch.optim` makes of one network whose parameters stand in a row."""

    def tensors(row):
        return [part.reshape(shape).clone() for part, shape in zip(row.split(SIZES), SHAPES, strict=True)]

    own = tensors(start)
    optimisers = REFERENCES[name]([t for t in own if t.ndim == 2], [t for t in own if t.ndim != 2])
    for gradient, rate in zip(gradients, rates, strict=True):
        for tensor, part in zip(own, tensors(gradient), strict=True):
            tensor.grad = part
        for optimiser in optimisers:
            optimiser.param_groups[0].update(lr=rate.item(), weight_decay=decay)
            optimiser.step()
    return torch.cat([t.flatten() for t in own])


def run(optimiser, gradients, rates):
    for gradient, rate in zip(gradients, rates, strict=True):
        optimiser.step(gradient.clone(), rate)
    return optimiser


def make(name, members, seed, **options):
    """An optimiser of members that differ, with the gradients and the rates to run it on."""
    start, gradients, shares = problem(members, seed, **options)
    decays = torch.linspace(0, 0.3, members)[:, None]
    rates = shares[:, None] * torch.logspace(-3, -2, members)
    return make_optimiser(name, start, decays, SHAPES), gradients, rates


def test_every_optimiser_has_a_reference():
    assert set(OPTIMISERS) == set(REFERENCES)


@with_reference
@pytest.mark.parametrize(("rate", "decay", "seed"), [(1e-3, 0.01, 0), (2e-2, 0.1, 1), (0.1, 0.5, 2), (1e-2, 0.0, 3)])
def test_a_fleet_of_one_is_torchs_optimiser_over_100_steps(name, rate, decay, seed):
    start, gradients, shares = problem(1, seed, torch.float64)
    ours = start.clone()
    optimiser = make_optimiser(name, ours, torch.tensor(decay, dtype=torch.float64), SHAPES)
    run(optimiser, gradients, (rate * shares)[:, None])
    theirs = by_torch(name, start[0], gradients[:, 0], rate * shares, decay)
    torch.testing.assert_close(ours[0], theirs, rtol=1e-6, atol=1e-9)
    assert (theirs - start[0]).abs().median() > 1e-4


@with_reference
def test_every_member_is_its_own_run_of_torchs_optimiser_in_single_precision(name):
    rates, decays = torch.tensor([1e-3, 1e-2, 5e-2]), torch.tensor([[0.3], [0.0], [0.1]])
    start, gradients, shares = problem(3, 4)
    ours = start.clone()
    run(make_optimiser(name, ours, decays, SHAPES), gradients, shares[:, None] * rates)
    for k in range(3):
        theirs = by_torch(name, start[k], gradients[:, k], shares * rates[k], decays[k].item())
        torch.testing.assert_close(ours[k], theirs, rtol=2e-6, atol=2e-6)


@with_reference
def test_each_parameter_may_have_its_own_decay(name):
    start, gradients, shares = problem(2, 5, torch.float64)
    mask = torch.cat([torch.full((shape.numel(),), float(len(shape) > 1)) for shape in SHAPES])
    ours = start.clone()
    run(make_optimiser(name, ours, torch.tensor([[0.2], [0.4]]) * mask, SHAPES), gradients, shares[:, None] * 1e-2)
    for k, decay in enumerate((0.2, 0.4)):
        with_decay, without = (by_torch(name, start[k], gradients[:, k], shares * 1e-2, d) for d in (decay, 0.0))
        torch.testing.assert_close(ours[k], torch.where(mask == 1, with_decay, without), rtol=1e-6, atol=1e-6)


@every
def test_numbers_do_not_change_because_others_leave(name):
    whole, gradients, rates = make(name, 6, 6, steps=20)
    some = copy.deepcopy(whole)
    run(whole, gradients, rates)
    run(some, gradients[:10], rates[:10])
    stay = torch.tensor([4, 1])
    some.select(stay)
    run(some, gradients[10:, stay], rates[10:, stay])
    assert torch.equal(some.parameters, whole.parameters[stay])


@every
def test_a_diverged_member_leaves_the_others_alone(name):
    sound, gradients, rates = make(name, 3, 7, steps=10)
    broken = copy.deepcopy(sound)
    run(sound, gradients, rates)
    gradients[4, 1] = torch.inf
    gradients[5, 1, 3] = torch.nan
    run(broken, gradients, rates)
    assert not broken.parameters[1].isfinite().all()
    assert torch.equal(broken.parameters[[0, 2]], sound.parameters[[0, 2]])


@every
def test_a_new_optimiser_goes_on_from_a_state_that_was_written_to_disk(name):
    whole, gradients, rates = make(name, 3, 8, steps=20)
    fresh = copy.deepcopy(whole)
    run(whole, gradients[:9], rates[:9])
    stay = torch.tensor([2, 0])
    whole.select(stay)
    state = safetensors.torch.load(safetensors.torch.save(whole.state()))
    fresh.select(stay)
    live = fresh.parameters
    fresh.load(state)
    for optimiser in (whole, fresh):
        run(optimiser, gradients[9:, stay], rates[9:, stay])
    assert torch.equal(fresh.parameters, whole.parameters)
    assert fresh.parameters is live
    assert fresh.steps == whole.steps == 20


@every
@pytest.mark.parametrize("way", [lambda o: o.to(torch.device("cpu")), lambda o: pickle.loads(pickle.dumps(o))])
def test_an_optimiser_goes_on_after_a_move_or_a_copy(name, way):
    whole, gradients, rates = make(name, 2, 9, steps=6)
    moved = copy.deepcopy(whole)
    run(whole, gradients, rates)
    moved = run(way(run(moved, gradients[:3], rates[:3])), gradients[3:], rates[3:])
    assert torch.equal(moved.parameters, whole.parameters)


@every
def test_the_layout_of_a_gradient_in_memory_does_not_matter(name):
    rowwise, gradients, rates = make(name, 2, 10, steps=3)
    columnwise = copy.deepcopy(rowwise)
    run(rowwise, gradients, rates)
    for gradient, rate in zip(gradients, rates, strict=True):
        columnwise.step(gradient.T.contiguous().T, rate)
    torch.testing.assert_close(columnwise.parameters, rowwise.parameters, rtol=1e-6, atol=1e-6)


@every
def test_a_rate_of_zero_moves_nothing(name):
    optimiser, gradients, rates = make(name, 2, 11, steps=3)
    start = optimiser.parameters.clone()
    run(optimiser, gradients, 0 * rates)
    assert torch.equal(optimiser.parameters, start)


def test_an_unknown_optimiser_is_refused_with_the_closest_names():
    with pytest.raises(LaminaError, match=r"optimiser 'adamv' is not known; the closest are: adam"):
        make_optimiser("adamv", torch.zeros(1, SIZE), torch.tensor(0.0), SHAPES)


def test_a_step_does_not_load_pytorchs_compiler():
    script = (
        "import sys, torch; from lamina.training.optimiser import OPTIMISERS, make_optimiser\n"
        "for name in OPTIMISERS:\n"
        "    optimiser = make_optimiser(name, torch.ones(1, 4), torch.tensor(0.1), [torch.Size((2, 2))])\n"
        "    optimiser.step(torch.ones(1, 4), torch.ones(1))\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_members_that_are_moved_in_several_blocks_move_alike(name, monkeypatch):
    start, gradients, factors = problem(5, 0, torch.float64)
    whole, blocks = start.clone(), start.clone()
    decays = torch.linspace(0.0, 0.2, 5, dtype=torch.float64)[:, None]
    rates = 0.01 * factors[:, None].expand(-1, 5)
    run(make_optimiser(name, whole, decays, SHAPES), gradients.clone(), rates)
    monkeypatch.setattr("lamina.training.optimiser.BLOCK", 2 * SIZE * 8)
    optimiser = make_optimiser(name, blocks, decays, SHAPES)
    run(optimiser, gradients.clone(), rates)
    assert len(optimiser._scratch) == 2
    torch.testing.assert_close(blocks, whole, rtol=1e-12, atol=1e-12)
