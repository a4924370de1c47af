"""Checks that a system trains in a fleet as it does alone."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lamina.errors import LaminaError
from lamina.testing.subject import IN, OUT, Subject, gap, require, rows
from lamina.training.fleet import Fleet
from lamina.training.loss import member_loss
from lamina.training.noise import Noise
from lamina.training.program import OneByOne, Program

MEMBERS, ROWS = 3, 6
TOLERANCES = ((torch.float32, 1e-5), (torch.float64, 1e-10))


def check_fleet_step(subject: Subject) -> None:
    """A fleet's losses and gradients are those of a loop over its networks, 1e-5 in float32 and 1e-10 in float64.

    A system that says that it cannot be stacked is held to its word.
    """
    for dtype, tolerance in TOLERANCES:
        members = [_repeatable(subject.network(seed).to(dtype)) for seed in range(MEMBERS)]
        losses, gradients = _step(subject, Fleet(members), list(range(MEMBERS)), dtype)
        x, y = _batch(dtype)
        for i, member in enumerate(members):
            loss = member_loss(member(x[i])[None], y[i : i + 1])[0]
            expected = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(member.parameters()))])
            for what, ours, theirs in (("losses", losses[i], loss), ("gradients", gradients[i], expected)):
                difference = gap(ours, theirs)
                require(difference < tolerance, f"{what} in a fleet and alone differ by {difference:.1e} in {dtype}")


def check_fleet_noise(subject: Subject) -> None:
    """In training mode a member's random numbers are the same alone and in a fleet, and others at the next step."""
    members = [subject.network(seed, dropout=0.5).double() for seed in range(MEMBERS)]
    together = _step(subject, Fleet(members), list(range(MEMBERS)), torch.float64)[1]
    alone = _step(subject, Fleet(members[2:]), [2], torch.float64)[1]
    difference = gap(together[2:], alone)
    require(difference < 1e-10, f"gradients of a member in a fleet and alone differ by {difference:.1e}")
    later = _step(subject, Fleet(members), list(range(MEMBERS)), torch.float64, step=1)[1]
    require(not torch.equal(together, later), "with dropout two steps have the same random numbers")


def _repeatable(network: nn.Module) -> nn.Module:
    """The network in training mode or, if that draws random numbers without dropout, in evaluation mode."""
    network.train()
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        network(rows(ROWS, IN, dtype=next(network.parameters()).dtype))
        draws = not torch.equal(before, torch.get_rng_state())
    if draws:
        network.eval()
        network.train = lambda mode=True: network  # pyright: ignore[reportAttributeAccessIssue]
    return network


def _batch(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return rows(MEMBERS, ROWS, IN, dtype=dtype), torch.randint(0, OUT, (MEMBERS, ROWS), generator=generator)


def _step(
    subject: Subject, fleet: Fleet, members: list[int], dtype: torch.dtype, step: int = 0
) -> tuple[Tensor, Tensor]:
    """Losses and gradients of a step, by the way that the system says is possible."""
    x, y = (tensor[members] for tensor in _batch(dtype))
    noise = Noise([(m,) for m in members], fleet.device)
    with torch.random.fork_rng(devices=[]):
        whole = copy.copy(fleet)
        whole.stacks = True
        try:
            compute = Program(whole, fleet.parameters, x, y, None, noise)
            require(fleet.stacks, "it says that it cannot be stacked, but it can")
        except LaminaError as error:
            require(not fleet.stacks, f"it does not say that it cannot be stacked: {error}")
            compute = OneByOne(fleet, noise)
        noise.begin(step)
        return compute(fleet.parameters, fleet.buffers, x, y, None)
