"""Optimisers over a fleet: the learning rate and the weight decay are vectors with one entry per member."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class AdamW:
    r"""Adam with decoupled weight decay, for a matrix of parameters with one row per member.

    With the gradient :math:`g_t`: :math:`m_t = \beta_1 m_{t-1} + (1-\beta_1) g_t`,
    :math:`v_t = \beta_2 v_{t-1} + (1-\beta_2) g_t^2`,
    :math:`\theta_t = (1 - \eta_t \lambda)\theta_{t-1} - \eta_t \hat m_t / (\sqrt{\hat v_t} + \epsilon)` with the
    bias-corrected :math:`\hat m_t = m_t / (1-\beta_1^t)` and :math:`\hat v_t = v_t / (1-\beta_2^t)`.

    Args:
        parameters: (members, parameters), changed in place by `step`.
        weight_decay: what broadcasts to (members, parameters); the :math:`\lambda` of each entry.
        betas: the decay rates of the two moments; the usual ones.
        eps: added to the denominator.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, arXiv:1711.05101.
    """

    def __init__(
        self,
        parameters: Tensor,
        weight_decay: Tensor,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters, self.betas, self.eps = parameters, betas, eps
        self.weight_decay = weight_decay.expand_as(parameters)
        self.mean = torch.zeros_like(parameters)
        self.square = torch.zeros_like(parameters)
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, learning_rate: Tensor) -> None:
        """One step.

        Args:
            gradient: (members, parameters).
            learning_rate: (members,), the rate of each member at this step.
        """
        self.steps += 1
        first, second = self.betas
        self.mean.lerp_(gradient, 1 - first)
        self.square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        rate = learning_rate[:, None]
        denominator = (self.square.sqrt() / math.sqrt(1 - second**self.steps)).add_(self.eps)
        self.parameters.mul_(1 - rate * self.weight_decay)
        self.parameters.sub_(self.mean / denominator * (rate / (1 - first**self.steps)))

    def select(self, members: Tensor) -> None:
        """Go on with some of the members only."""
        for name in ("parameters", "weight_decay", "mean", "square"):
            setattr(self, name, getattr(self, name)[members])

    def to(self, device: torch.device) -> AdamW:
        """Move the optimiser to `device` in place, and return it."""
        for name in ("parameters", "weight_decay", "mean", "square"):
            setattr(self, name, getattr(self, name).to(device))
        return self

    def state(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint needs, by name."""
        return {"parameters": self.parameters, "mean": self.mean, "square": self.square}
