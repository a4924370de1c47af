"""Sparse mixture of experts: a linear router sends each row to few experts, noise explores in training."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole, within


class TopGate(nn.Module):
    r"""Softmax of a linear router, kept for the `active` experts that are largest with noise, zero for the others.

    Args:
        in_features: number of inputs.
        experts: number of experts.
        active: experts that are kept for each row.
        noise: width of the uniform noise on the router's outputs in training mode.
        device, dtype: of the weights.
    """

    def __init__(
        self,
        in_features: int,
        experts: int,
        active: int = 1,
        noise: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.active, self.noise = active, noise
        self.weight = nn.Parameter(torch.empty(experts, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the router with variance ``1 / in_features``."""
        nn.init.normal_(self.weight, std=math.sqrt(1 / self.weight.shape[1]))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch experts"]:
        logits = F.linear(x, self.weight)
        ranks = logits.detach()
        if self.training:
            ranks = ranks + self.noise * torch.rand_like(ranks)
        chosen = torch.zeros_like(ranks).scatter(-1, ranks.topk(self.active, dim=-1).indices, 1.0)
        return logits.softmax(-1) * chosen


@layer(
    domain="any",
    summary="a mixture of dense experts of which a linear router chooses few for a row",
    paper="Chen et al. 2022, Towards Understanding Mixture of Experts in Deep Learning, arXiv:2208.02813",
)
class SparseMoELinear(nn.Module):
    r"""Mixture of dense experts of which each row uses the few that a linear router prefers.

    .. math:: y = \sum_{e \in T(x)} \pi_e(x)\, \sigma(W_e x + b_e), \qquad \pi(x) = \mathrm{softmax}(V x), \qquad
              T(x) = \mathrm{top}_k(V x + \epsilon)

    The noise :math:`\epsilon` is uniform in :math:`[0, 1]` times `noise`, drawn for every row in training mode, and
    zero in evaluation mode. The weights :math:`\pi` are those of all experts, so that the router has a gradient even
    with one expert for a row. All experts are computed, `experts` dense layers in one matrix product: sparsity
    is in what is learnt, it saves no arithmetic here.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        experts: number of experts. Default 4, so that an expert of a small network is not tiny.
        active: :math:`k`, experts for a row, at most `experts`. Default 1, as in the paper.
        noise: the largest noise; 0 for none. Default 1.0, as in the paper.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu".
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `active` is above `experts`, `noise` is not from 0 to 100, the activation is
            not known, or an input has another last dimension.

    Source:
        Chen et al. 2022, Towards Understanding Mixture of Experts in Deep Learning, arXiv:2208.02813. Sparse gates:
        Shazeer et al. 2017, Outrageously Large Neural Networks, arXiv:1701.06538.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        experts: int = 4,
        active: int = 1,
        noise: float = 1.0,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, experts=experts, active=active)
        within(0.0, 100.0, noise=noise)
        if active > experts:
            raise LaminaError(f"active={active}: active has to be at most experts={experts}")
        self.in_features, self.out_features = in_features, out_features
        self.experts, self.active, self.noise = experts, active, noise
        self.activation, self.function = activation, function(activation)
        self.gate = TopGate(in_features, experts, active, noise, device, dtype)
        self.weight = nn.Parameter(torch.empty(experts * out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(experts * out_features, device=device, dtype=dtype))
        self._draw_experts()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, experts: int = 4, active: int = 1) -> SparseMoELinear:
        """The layer that computes what `linear` does: equal experts, equal weights, no activation."""
        weight, n = linear.weight, linear.out_features
        new = cls(
            linear.in_features, n, experts=experts, active=active, activation="identity",
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            new.gate.weight.zero_()
            new.weight.copy_(weight.repeat(experts, 1) * (experts / active))
            bias = weight.new_zeros(n) if linear.bias is None else linear.bias
            new.bias.copy_(bias.repeat(experts) * (experts / active))
        return new

    def reset_parameters(self) -> None:
        """Draw experts with variance ``8 / in_features``, for the gate's weight is about a half; no biases."""
        self.gate.reset_parameters()
        self._draw_experts()

    def _draw_experts(self) -> None:
        nn.init.normal_(self.weight, std=math.sqrt(8 / self.in_features))
        nn.init.zeros_(self.bias)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        outputs = self.function(F.linear(features(x, self.in_features), self.weight, self.bias))
        return (self.gate(x).unsqueeze(-1) * outputs.unflatten(-1, (self.experts, -1))).sum(-2)

    extra_repr = described
