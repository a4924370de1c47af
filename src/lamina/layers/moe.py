"""Mixture of experts with a Gumbel-softmax gate."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, positive, whole


@layer(
    domain="any",
    summary="a mixture of dense experts, its gate drawn from a Gumbel-softmax",
    paper="Chernov 2025, (GG) MoE vs. MLP on Tabular Data, arXiv:2502.03608",
)
class MoELinear(nn.Module):
    r"""Mixture of dense experts whose gate is random in training and averaged in evaluation.

    .. math:: y = \sum_e g_e(x)\, \sigma(W_e x + b_e), \qquad
              g(x) = \mathrm{softmax}\big((V x + c + \epsilon) / \tau\big)

    In training mode every row draws its own Gumbel noise :math:`\epsilon`. In evaluation mode :math:`g` is
    the average over `draws` draws that are fixed: a buffer of Gumbel quantiles, the same for every row and
    every expert but in another order, drawn once with a constant seed. So the output of a row depends on
    nothing but the row, and no expert is favoured by the draws. All experts are computed, in one matrix
    product.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        experts: number of experts. Default 4, so that an expert of a small network is not tiny.
        temperature: :math:`\tau`; small values choose one expert, large ones mix all. Default 1.0.
        draws: gates averaged in evaluation mode. Default 16: a weight is then within about 0.01 of its limit,
            and within 0.05 at worst.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu".
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `temperature` is not above 0, the activation is not known, or an input
            has another last dimension.

    Source:
        Chernov 2025, (GG) MoE vs. MLP on Tabular Data, arXiv:2502.03608. Gumbel-softmax: Jang et al. 2017,
        Categorical Reparameterization with Gumbel-Softmax, arXiv:1611.01144.
    """

    noise: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        experts: int = 4,
        temperature: float = 1.0,
        draws: int = 16,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, experts=experts, draws=draws)
        positive(temperature=temperature)
        self.in_features, self.out_features, self.experts = in_features, out_features, experts
        self.temperature, self.draws = temperature, draws
        self.activation, self.function = activation, function(activation)
        self.weight = nn.Parameter(torch.empty(experts * out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(experts * out_features, device=device, dtype=dtype))
        self.gate_weight = nn.Parameter(torch.empty(experts, in_features, device=device, dtype=dtype))
        self.gate_bias = nn.Parameter(torch.empty(experts, device=device, dtype=dtype))
        self.register_buffer("noise", _gumbel_draws(draws, experts).to(self.weight), persistent=False)
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, experts: int = 4) -> MoELinear:
        """The layer that computes what `linear` does: every expert starts as it, without activation."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, experts=experts, activation="identity",
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            new.weight.copy_(weight.repeat(experts, 1))
            new.bias.copy_(torch.zeros_like(new.bias) if linear.bias is None else linear.bias.repeat(experts))
        return new

    def reset_parameters(self) -> None:
        """Draw experts with variance ``2 / in_features``, the gate with ``1 / in_features``, no biases."""
        nn.init.normal_(self.weight, std=math.sqrt(2 / self.in_features))
        nn.init.normal_(self.gate_weight, std=math.sqrt(1 / self.in_features))
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.gate_bias)

    def gate(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch experts"]:
        """The weights of the experts, which sum to one; random in training mode."""
        logits = F.linear(x, self.gate_weight, self.gate_bias)
        if self.training:
            tiny = torch.finfo(logits.dtype).tiny
            gumbel = -(-torch.rand_like(logits).clamp_min(tiny).log()).log()
            return ((logits + gumbel) / self.temperature).softmax(-1)
        return ((logits.unsqueeze(-2) + self.noise) / self.temperature).softmax(-1).mean(-2)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        features(x, self.in_features)
        outputs = self.function(F.linear(x, self.weight, self.bias)).unflatten(-1, (self.experts, -1))
        return (self.gate(x).unsqueeze(-1) * outputs).sum(-2)

    extra_repr = described


def _gumbel_draws(draws: int, experts: int) -> Tensor:
    """(draws, experts) standard Gumbel values: per expert the same quantiles, in an order of its own."""
    generator = torch.Generator("cpu").manual_seed(0)
    order = torch.rand(draws, experts, generator=generator, device="cpu").argsort(0)
    return -(-((order.double() + 0.5) / draws).log()).log()
