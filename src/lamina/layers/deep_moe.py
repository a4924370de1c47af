"""A mixture of experts with a gate of its own, made to be stacked: a deep mixture of experts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole, within


@layer(
    domain="any",
    summary="a mixture of experts with a two-layer gate, whose paths multiply with depth",
    paper="Eigen et al. 2013, Learning Factored Representations in a Deep Mixture of Experts, arXiv:1312.4314",
)
class DeepMoELinear(nn.Module):
    r"""Mixture of dense experts, weighted by a softmax gate that is a small perceptron of the layer's input.

    .. math:: y = \sum_e g_e(x)\, \sigma(W_e x + b_e), \qquad g(x) = \mathrm{softmax}(V \max(U x + u, 0) + v)

    Each layer of a stack has experts and a gate of its own, so that `depth` layers have as many combinations as
    `experts` to the power of `depth`. All experts are computed, `experts` dense layers in one matrix product. In
    training mode the gate of a row is closed to experts whose weights, summed over the rows before it in the batch,
    are more than `margin` above the mean of all experts. In the paper the sum runs over the rows of all batches, and
    the balance ends after a part of the training, as it does here with ``layer.margin = math.inf``.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        experts: number of experts. Default 4, as in the paper's experiments on images.
        gate_width: hidden units of the gate. Default 16: a gate is small beside the experts.
        margin: rows that an expert may have above the mean in training mode; `math.inf` for no balance. Default 4.0, so
            that no expert has more than about a third of a batch of 64.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "relu", as in the paper.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `margin` is below 0, the activation is not known, or an input has another last
            dimension.

    Source:
        Eigen et al. 2013, Learning Factored Representations in a Deep Mixture of Experts, arXiv:1312.4314.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        experts: int = 4,
        gate_width: int = 16,
        margin: float = 4.0,
        activation: str = "relu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, experts=experts, gate_width=gate_width)
        within(0.0, math.inf, margin=margin)
        self.in_features, self.out_features = in_features, out_features
        self.experts, self.gate_width, self.margin = experts, gate_width, margin
        self.activation, self.function = activation, function(activation)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight, self.bias = empty(experts * out_features, in_features), empty(experts * out_features)
        self.hidden_weight, self.hidden_bias = empty(gate_width, in_features), empty(gate_width)
        self.gate_weight, self.gate_bias = empty(experts, gate_width), empty(experts)
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, experts: int = 4) -> DeepMoELinear:
        """The layer that computes what `linear` does: every expert starts as it, without activation."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, experts=experts, activation="identity",
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            new.weight.copy_(weight.repeat(experts, 1))
            if linear.bias is not None:
                new.bias.copy_(linear.bias.repeat(experts))
        return new

    def reset_parameters(self) -> None:
        """Draw experts so that their mean has unit variance, a gate near equal weights, and no biases."""
        nn.init.normal_(self.weight, std=math.sqrt(2 * self.experts / self.in_features))
        nn.init.normal_(self.hidden_weight, std=math.sqrt(2 / self.in_features))
        nn.init.normal_(self.gate_weight, std=0.1 * math.sqrt(1 / self.gate_width))
        for bias in (self.bias, self.hidden_bias, self.gate_bias):
            nn.init.zeros_(bias)

    def gate(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch experts"]:
        """The weights of the experts, which sum to one."""
        hidden = F.linear(x, self.hidden_weight, self.hidden_bias).relu()
        logits = F.linear(hidden, self.gate_weight, self.gate_bias)
        if not self.training or self.margin == math.inf:
            return logits.softmax(-1)
        weights = logits.detach().softmax(-1).reshape(-1, self.experts)
        before = weights.cumsum(0) - weights
        above = (before - before.mean(-1, keepdim=True)).view_as(logits)
        return logits.masked_fill(above > self.margin, -math.inf).softmax(-1)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        outputs = self.function(F.linear(features(x, self.in_features), self.weight, self.bias))
        return (self.gate(x).unsqueeze(-1) * outputs.unflatten(-1, (self.experts, -1))).sum(-2)

    extra_repr = described
