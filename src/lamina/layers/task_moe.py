"""Sparse mixture of experts whose gate knows the task of a row."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole, within


@layer(
    domain="any",
    summary="a sparse mixture of dense experts whose gate knows the task of a row",
    paper="Gupta et al. 2022, Sparsely Activated Mixture-of-Experts are Robust Multi-Task Learners, arXiv:2204.07689",
)
class TaskMoELinear(nn.Module):
    r"""Mixture of dense experts of which a row uses the few that a gate prefers for its task and its values.

    .. math:: y = \frac{n}{k} \sum_{e \in T} \pi_e\, \sigma(W_e x + b_e), \qquad
              \pi = \mathrm{softmax}(V x + u_t), \qquad T = \mathrm{top}_k(V x + u_t + \epsilon)

    Of :math:`n` experts, equal weights are thus weights of one. The noise :math:`\epsilon` is uniform in
    :math:`[0, 1]` times `noise` in training mode, so that tasks try experts and find those of related tasks, and zero
    in evaluation mode; noise and factor are ours. Tasks that prefer the same experts share their weights. Task
    :math:`t` is embedded as its preferences :math:`u_t` themselves: to a linear gate of an input and an embedding it
    makes no difference. Without a task, the mean of all preferences stands in, and where there are no tasks the gate
    sees the input alone. All experts are computed, `experts` dense layers in one matrix product: sparsity is in what
    is learnt, it saves no arithmetic here.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        tasks: number of tasks that the gate knows. Default 0: none, as for rows of one task.
        experts: number of experts. Default 4, so that an expert of a small network is not tiny.
        active: :math:`k`, experts for a row, at most `experts`. Default 1: the arithmetic of a dense layer, if the
            others are not computed.
        noise: the largest noise; 0 for none. Default 1.0, ten times what the gate's outputs differ by at the start.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu".
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``; tasks ``(*)``, whole numbers from 0.

    Raises:
        LaminaError: a size is below 1, `tasks` is below 0, `active` is above `experts`, `noise` is not from 0 to
            100, the activation is not known, an input has another last dimension, or there is a task where `tasks`
            is 0.

    Source:
        Gupta et al. 2022, Sparsely Activated Mixture-of-Experts are Robust Multi-Task Learners, arXiv:2204.07689.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tasks: int = 0,
        experts: int = 4,
        active: int = 1,
        noise: float = 1.0,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, experts=experts, active=active)
        whole(0, tasks=tasks)
        within(0.0, 100.0, noise=noise)
        if active > experts:
            raise LaminaError(f"active={active}: active has to be at most experts={experts}")
        self.in_features, self.out_features = in_features, out_features
        self.tasks, self.experts, self.active, self.noise = tasks, experts, active, noise
        self.activation, self.function = activation, function(activation)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight, self.bias = empty(experts * out_features, in_features), empty(experts * out_features)
        self.gate_weight = empty(experts, in_features)
        self.preference = empty(tasks, experts) if tasks else None
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, tasks: int = 0, experts: int = 4, active: int = 1) -> TaskMoELinear:
        """The layer that computes what `linear` does: equal experts, equal weights, no activation."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, tasks=tasks, experts=experts, active=active,
            activation="identity", device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            new.gate_weight.zero_()
            if new.preference is not None:
                new.preference.zero_()
            new.weight.copy_(weight.repeat(experts, 1))
            if linear.bias is not None:
                new.bias.copy_(linear.bias.repeat(experts))
        return new

    def reset_parameters(self) -> None:
        """Draw experts with variance ``2 / in_features``, a gate of nearly equal weights, and no biases."""
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.in_features))
        nn.init.zeros_(self.bias)
        nn.init.normal_(self.gate_weight, std=0.1 * math.sqrt(1 / self.in_features))
        if self.preference is not None:
            nn.init.normal_(self.preference, std=0.1)

    def gate(
        self, x: Float[Tensor, "*batch in_features"], task: Int[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch experts"]:
        """The weights of the experts, zero for all but `active` of them."""
        logits = F.linear(x, self.gate_weight)
        if self.preference is not None:
            logits = logits + (self.preference.mean(0) if task is None else F.embedding(task, self.preference))
        elif task is not None:
            raise LaminaError("there is a task, but tasks=0: make the layer with the number of tasks")
        ranks = logits.detach()
        if self.training:
            ranks = ranks + self.noise * torch.rand_like(ranks)
        chosen = torch.zeros_like(ranks).scatter(
            -1, ranks.topk(self.active, dim=-1).indices, self.experts / self.active
        )
        return logits.softmax(-1) * chosen

    def forward(
        self, x: Float[Tensor, "*batch in_features"], task: Int[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch out_features"]:
        outputs = self.function(F.linear(features(x, self.in_features), self.weight, self.bias))
        return (self.gate(x, task).unsqueeze(-1) * outputs.unflatten(-1, (self.experts, -1))).sum(-2)

    extra_repr = described
