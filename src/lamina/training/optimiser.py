"""Optimisers over a fleet: the learning rate and the weight decay are vectors with one entry per member."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.nadam import nadam
from torch.optim.sgd import sgd

from lamina.errors import unknown
from lamina.training.muon import Muon

BLOCK = 1 << 23  # bytes of parameters that are moved at a time, so that their step needs little memory


class Direction(Protocol):
    """What an optimiser does with a gradient: the step it would make at a learning rate of 1."""

    @property
    def coupled(self) -> bool:
        r"""Whether decay is a part of the gradient, :math:`g + \lambda\theta`, or of the step, beside the gradient."""
        ...

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """What is remembered from step to step, before the first: tensors of one row per member, or scalars.

        Args:
            parameters: (members, parameters); of their values nothing is used.
        """
        ...

    def move(self, step: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> None:
        """Write the next step.

        Args:
            step: (members, parameters), contiguous, zero at first.
            gradient: (members, parameters), contiguous.
            memory: of `begin`, changed in place.
        """
        ...


# The three below call the functional forms of PyTorch's optimisers, which are several times as fast as the same
# formulas in tensor operations. The classes around them import PyTorch's compiler, which takes a second.


@dataclass(frozen=True)
class SGD:
    r"""Gradient descent with momentum: :math:`b_t = \mu b_{t-1} + g_t`, and the step at unit rate is :math:`-b_t`.

    Args:
        momentum: :math:`\mu`; 0.9 is the usual one.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum in deep learning, ICML; in the form
    of `torch.optim.SGD`, where the learning rate stands outside the momentum.
    """

    momentum: float = 0.9

    coupled = True

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """See `Direction.begin`."""
        return {"momentum": torch.zeros_like(parameters)}

    def move(self, step: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> None:
        """See `Direction.move`."""
        sgd(
            [step],
            [gradient],
            [memory["momentum"]],
            fused=True,
            lr=1.0,
            momentum=self.momentum,
            dampening=0.0,
            nesterov=False,
            weight_decay=0.0,
            maximize=False,
        )


@dataclass(frozen=True)
class Adam:
    r"""Adam, and AdamW where `coupled` is False.

    With the gradient :math:`g_t`: :math:`m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t`,
    :math:`v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2`, and the step at unit rate is
    :math:`-\hat m_t / (\sqrt{\hat v_t} + \epsilon)` with the bias-corrected :math:`\hat m_t = m_t / (1-\beta_1^t)` and
    :math:`\hat v_t = v_t / (1-\beta_2^t)`.

    Args:
        coupled: see `Direction.coupled`.
        betas: the decay rates of the two moments; the usual ones.
        eps: added to the denominator; the usual one.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, arXiv:1412.6980; Loshchilov and Hutter
    2019, Decoupled Weight Decay Regularization, arXiv:1711.05101.
    """

    coupled: bool
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """See `Direction.begin`."""
        steps = torch.zeros((), device=parameters.device)
        return {"mean": torch.zeros_like(parameters), "square": torch.zeros_like(parameters), "steps": steps}

    def move(self, step: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> None:
        """See `Direction.move`."""
        adam(
            [step],
            [gradient],
            [memory["mean"]],
            [memory["square"]],
            [],
            [memory["steps"]],
            fused=True,
            lr=1.0,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            amsgrad=False,
            weight_decay=0.0,
            maximize=False,
        )


@dataclass(frozen=True)
class NAdam:
    r"""Adam with Nesterov's momentum.

    The moments :math:`m_t, \hat v_t` are Adam's. With :math:`\mu_t = \beta_1 (1 - 0.96^{t\psi}/2)` the step at unit
    rate is :math:`-\bigl(\mu_{t+1} m_t / (1 - \prod_{i \le t+1} \mu_i) + (1 - \mu_t) g_t / (1 - \prod_{i \le t} \mu_i)
    \bigr) / (\sqrt{\hat v_t} + \epsilon)`.

    Args:
        betas: the decay rates of the two moments; the usual ones.
        eps: added to the denominator; the usual one.
        momentum_decay: :math:`\psi`; the author's choice.

    Source: Dozat 2016, Incorporating Nesterov Momentum into Adam, ICLR workshop,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum_decay: float = 4e-3

    coupled = True

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """See `Direction.begin`. The scalars are needed as numbers at every step, so they stay with the CPU."""
        moments = {"mean": torch.zeros_like(parameters), "square": torch.zeros_like(parameters)}
        return {**moments, "product": torch.ones(()), "steps": torch.zeros(())}

    def move(self, step: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> None:
        """See `Direction.move`."""
        nadam(
            [step],
            [gradient],
            [memory["mean"]],
            [memory["square"]],
            [memory["product"]],
            [memory["steps"]],
            lr=1.0,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            momentum_decay=self.momentum_decay,
            weight_decay=0.0,
        )


OPTIMISERS: dict[str, Callable[[Sequence[torch.Size]], Direction]] = {
    "sgd": lambda shapes: SGD(),
    "adam": lambda shapes: Adam(coupled=True),
    "adamw": lambda shapes: Adam(coupled=False),
    "nadam": lambda shapes: NAdam(),
    "muon": lambda shapes: Muon(shapes, rest=Adam(coupled=False)),
}


class Optimiser:
    r"""Steps of all members of a fleet at once, each at its own learning rate and weight decay.

    With the direction :math:`d`, the step at unit rate, and the learning rate :math:`\eta` and decay :math:`\lambda` of
    a member: :math:`\theta_t = \theta_{t-1} + \eta_t\, d(g_t + \lambda\theta_{t-1})` where decay is coupled,
    :math:`\theta_t = \theta_{t-1} + \eta_t (d(g_t) - \lambda\theta_{t-1})` where it is not.

    Args:
        parameters: (members, parameters), changed in place by `step`.
        weight_decay: :math:`\lambda`, what broadcasts to (members, parameters).
        direction: from gradients to steps.

    Attributes:
        steps: that were made.
    """

    def __init__(self, parameters: Tensor, weight_decay: Tensor, direction: Direction) -> None:
        self.parameters, self.direction = parameters, direction
        decays = torch.atleast_2d(weight_decay).expand(len(parameters), -1)
        self.weight_decay = decays if decays.any() else None
        self.steps = 0
        self._begin()

    def _begin(self) -> None:
        self._memory = self.direction.begin(self.parameters.detach().contiguous())
        members, size = self.parameters.shape
        rows = min(members, max(1, BLOCK // max(1, size * self.parameters.element_size())))
        self._scratch = self.parameters.detach().new_empty(rows, size)

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        """One step.

        Args:
            gradient: (members, parameters), may be changed.
            learning_rate: (members,), the rate of each member at this step.
        """
        self.steps += 1
        members, rows = len(self.parameters), len(self._scratch)
        for start in range(0, members, rows):
            block = slice(start, start + rows)
            last = start + rows >= members  # a count of steps goes on by one for all blocks together
            memory = {n: t[block] if t.ndim else t if last else t.clone() for n, t in self._memory.items()}
            self._move(self.parameters[block], gradient[block], learning_rate[block], block, memory)

    def _move(
        self, parameters: Tensor, gradient: Tensor, rate: Tensor, block: slice, memory: dict[str, Tensor]
    ) -> None:
        decay = None if self.weight_decay is None else self.weight_decay[block]
        step = self._scratch[: len(parameters)].zero_()
        if decay is not None and self.direction.coupled:
            gradient.addcmul_(parameters, decay)
        self.direction.move(step, gradient.contiguous(), memory)
        if decay is not None and not self.direction.coupled:
            step.addcmul_(parameters, decay, value=-1)
        parameters.addcmul_(step, rate[:, None])

    @torch.no_grad()
    def select(self, members: Tensor) -> None:
        """Go on with some of the members only, given by their places."""
        self.parameters = self.parameters[members]
        self.weight_decay = None if self.weight_decay is None else self.weight_decay[members]
        self._scratch = self._scratch[: len(self.parameters)]
        self._memory = {name: t[members] if t.ndim else t for name, t in self._memory.items()}

    @torch.no_grad()
    def to(self, device: torch.device) -> Optimiser:
        """Move the optimiser to `device` in place, and return it."""
        memory = self._memory
        self.parameters = self.parameters.to(device)
        self.weight_decay = None if self.weight_decay is None else self.weight_decay.to(device)
        self._begin()
        for name, tensor in self._memory.items():
            tensor.copy_(memory[name])
        return self

    def state(self) -> dict[str, Tensor]:
        """By name, the tensors that `load` needs to go on exactly from here; they are the optimiser's own."""
        return {"parameters": self.parameters, "steps": torch.tensor(self.steps), **self._memory_named()}

    def _memory_named(self) -> dict[str, Tensor]:
        return {f"memory.{name}": tensor for name, tensor in self._memory.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the `state` of an optimiser with the same direction and the same members, copied in place."""
        self.steps = int(state["steps"])
        for name, tensor in {"parameters": self.parameters, **self._memory_named()}.items():
            tensor.copy_(state[name])


def make_optimiser(name: str, parameters: Tensor, weight_decay: Tensor, shapes: Sequence[torch.Size]) -> Optimiser:
    """A new optimiser.

    Args:
        name: one of `OPTIMISERS`.
        parameters: (members, parameters), changed in place by its steps.
        weight_decay: what broadcasts to (members, parameters).
        shapes: of one network's tensors, in their order along its row of `parameters`.

    Raises:
        LaminaError: there is no optimiser of this name.
    """
    if name not in OPTIMISERS:
        raise unknown("optimiser", name, OPTIMISERS)
    return Optimiser(parameters, weight_decay, OPTIMISERS[name](shapes))
