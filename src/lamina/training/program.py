"""A training step of a fleet: the members' losses and the gradient, for all at once or one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from lamina.errors import LaminaError, LaminaWarning
from lamina.training.compiling import PLAIN, compiled, pays
from lamina.training.fleet import Fleet
from lamina.training.graph import allot_memory, peak_bytes, reuse_memory, simplify
from lamina.training.loss import member_loss
from lamina.training.noise import Noise, draw_from

Buffers = dict[str, Tensor]


class Step(Protocol):
    """Computes the (members,) losses of a batch and the (members, parameters) gradient, that of penalties included."""

    def __call__(
        self, parameters: Tensor, buffers: Buffers, x: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """For x (members, rows, features), y and weight (members, rows); buffers may be changed in place."""
        ...


def _losses(
    fleet: Fleet,
    parameters: Tensor,
    buffers: Buffers,
    x: Tensor,
    y: Tensor,
    weight: Tensor | None,
    *,
    autocast: bool,
    penalty: float,
) -> tuple[Tensor, Tensor]:
    """(members,) losses, and what is to be differentiated: the same, or with penalties."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
        output = fleet.forward(parameters, x, training=True, buffers=buffers)
    loss = member_loss(output, y, weight)
    if not penalty:
        return loss, loss
    # outside of autocast: sums of small shares lose digits
    return loss, loss + penalty * fleet.penalty(parameters, x, buffers=buffers)


class Program:
    """A step of all members at once, as a flat list of tensor operations.

    Forward and backward pass are traced once, through `torch.func.vmap` and autograd. Running the list costs a few
    microseconds an operation: no module is called and no graph recorded. Random numbers come from each member's own
    stream. Buffers that the network changes in training, such as running means, are changed in place.

    Args:
        fleet: the networks; the list is for their number.
        parameters, x, y, weight: a batch as it will come.
        noise: where random numbers come from.
        autocast: whether matrix products are in bfloat16.
        penalty: weight of the networks' penalties.
        compile: whether the list goes through `torch.compile`; None where that is expected to pay.
        steps: how often it will run.

    Attributes:
        peak: bytes that intermediate results hold at the most.

    Raises:
        LaminaError: the network cannot be traced for all members at once, since its control flow depends on its values
            or it uses an operation that `torch.func.vmap` does not know.
    """

    def __init__(
        self,
        fleet: Fleet,
        parameters: Tensor,
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        noise: Noise,
        *,
        autocast: bool = False,
        penalty: float = 0.0,
        compile: bool | None = False,
        steps: int = 1,
    ) -> None:
        def step(parameters: Tensor, buffers: Buffers, x: Tensor, y: Tensor, weight: Tensor | None):
            live = parameters.detach().requires_grad_()
            loss, total = _losses(fleet, live, buffers, x, y, weight, autocast=autocast, penalty=penalty)
            return loss.detach(), torch.autograd.grad(total.sum(), live)[0]

        def trace(plain: dict[Any, Callable[..., Any]] | None = None) -> Any:
            found = make_fx(step, plain, tracing_mode="fake")(parameters, fleet.buffers, x, y, weight)
            draw_from(noise, found.graph, len(fleet))
            return found

        try:
            traced = trace()
        except Exception as error:  # a module may do whatever cannot be traced
            reason = " ".join(str(error).split())[:200]
            raise LaminaError(f"{fleet.name} cannot be trained as a stack: {type(error).__name__}: {reason}") from error
        simplify(traced.graph)
        reuse_memory(traced.graph)
        self.peak = peak_bytes(traced.graph)
        if compile or (compile is None and pays(traced.graph, len(fleet), steps)):
            self.run = compiled(trace(PLAIN if len(fleet) == 1 else None))
            return
        allot_memory(traced.graph, parameters.device)
        _gather_in(torch.empty_like(parameters), traced.graph)
        traced.recompile()
        self.run = traced

    @torch.no_grad()
    def __call__(
        self, parameters: Tensor, buffers: Buffers, x: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        return self.run(parameters, buffers, x, y, weight)


def _gather_in(gradient: Tensor, graph: Any) -> None:
    """Let the graph put the parts of its gradient into the same matrix at every step."""
    _, node = graph.output_node().args[0]
    if node.target == torch.ops.aten.cat.default:

        def gather(parts: list[Tensor], dim: int) -> Tensor:
            return torch.cat(parts, dim, out=gradient)

        node.target = gather


class OneByOne:
    """A step of one member after another, for networks that cannot be stacked.

    Args:
        fleet: the networks.
        noise: gives the seed of a member's random numbers.
        autocast: whether matrix products are in bfloat16.
        penalty: weight of the networks' penalties.
    """

    def __init__(self, fleet: Fleet, noise: Noise, *, autocast: bool = False, penalty: float = 0.0) -> None:
        self.fleet, self.noise, self.autocast, self.penalty = fleet, noise, autocast, penalty
        noise.reserve([1])

    def __call__(
        self, parameters: Tensor, buffers: Buffers, x: Tensor, y: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        losses, gradient = [], torch.empty_like(parameters)
        for i, seed in enumerate(self.noise.integers(0)):
            torch.manual_seed(seed)
            live = parameters[i : i + 1].detach().requires_grad_()
            part = slice(i, i + 1)
            own = {name: tensor[part] for name, tensor in buffers.items()}
            batch = x[part], y[part], None if weight is None else weight[part]
            loss, total = _losses(self.fleet, live, own, *batch, autocast=self.autocast, penalty=self.penalty)
            (gradient[part],) = torch.autograd.grad(total.sum(), live)
            losses.append(loss.detach())
        return torch.cat(losses), gradient


def make_step(
    fleet: Fleet,
    parameters: Tensor,
    x: Tensor,
    y: Tensor,
    weight: Tensor | None,
    noise: Noise,
    *,
    autocast: bool,
    penalty: float = 0.0,
    compile: bool | None = False,
    steps: int = 1,
) -> Step:
    """The step for a fleet: all members at once where that is possible, else one by one.

    Warns:
        LaminaWarning: the network does not say that it cannot be stacked, but it cannot.
    """
    if fleet.stacks:
        try:
            return Program(
                fleet, parameters, x, y, weight, noise,
                autocast=autocast, penalty=penalty, compile=compile, steps=steps,
            )  # fmt: skip
        except LaminaError as error:
            warnings.warn(f"{error}; its members are trained one by one", LaminaWarning, stacklevel=2)
            fleet.stacks = False
    return OneByOne(fleet, noise, autocast=autocast, penalty=penalty)
