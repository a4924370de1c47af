"""GR-KAN: a learnable rational function for each group of inputs, then a linear map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import unknown
from lamina.kernels.rational import rational
from lamina.layers.arguments import described, features, whole

# Coefficients of numerator and denominator, and E[R(z)^2] for a standard normal z. The identity is written with the
# denominator of SiLU, since one of zeros would get no gradient through its absolute value.
_STARTS = {
    "identity": ((0.0, 1.0, 0.0, 0.10611, 0.0, 0.00052), (0.0, 0.10611, 0.0, 0.00052), 1.0),
    "silu": ((0.0, 0.5, 0.24999, 0.05306, 0.00571, 0.00026), (0.0, 0.10611, 0.0, 0.00052), 0.35581),
}


@layer(
    domain="any",
    summary="a learnable rational function for each group of inputs, then a linear map",
    paper="Yang and Wang 2024, Kolmogorov-Arnold Transformer, arXiv:2409.10594",
)
class GRKANLinear(nn.Module):
    r"""Group-rational KAN layer: inputs pass rational functions that groups share, then one linear map.

    .. math:: y = W\, R(x) + c, \qquad R(x_i) = \frac{a_{g0} + a_{g1} x_i + \dots + a_{g5} x_i^5}
              {1 + |b_1 x_i + \dots + b_4 x_i^4|}

    Neighbouring inputs make up a group :math:`g` with a numerator of its own; all groups share the denominator. The
    denominator is at least 1, so that there are no poles. Besides the product, a step takes some fifty elementwise
    operations on the inputs (`lamina.kernels.rational`): as long as the products where there are about 128 outputs. Of
    a few ten thousand numbers and less, calls take longer than either.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        groups: groups of inputs, at most one for each input. Default 8, as in the paper.
        start: the function that the rational ones start as, identity or silu. Default "silu", so that a stack of
            layers is not linear at the start; the paper starts the first layer of a block as the identity.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Attributes:
        numerator: :math:`a`, ``(6, groups)``.
        denominator: :math:`b`, ``(4,)``.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `start` is not known, or an input has another last dimension.

    Source:
        Yang and Wang 2024, Kolmogorov-Arnold Transformer, arXiv:2409.10594. Denominators without poles: Molina et al.
        2020, Padé Activation Units, arXiv:1907.06732.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        groups: int = 8,
        start: str = "silu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, groups=groups)
        if start not in _STARTS:
            raise unknown("start", start, _STARTS)
        self.in_features, self.out_features, self.groups, self.start = in_features, out_features, groups, start
        self.numerator = nn.Parameter(torch.empty(6, min(groups, in_features), device=device, dtype=dtype))
        self.denominator = nn.Parameter(torch.empty(4, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, groups: int = 8) -> GRKANLinear:
        """The layer that computes what `linear` does: its functions start as the identity."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, groups=groups, start="identity",
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            new.weight.copy_(weight)
            new.bias.copy_(torch.zeros_like(new.bias) if linear.bias is None else linear.bias)
        return new

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set the functions to their start and draw weights that keep the variance of standard normal inputs."""
        above, below, square = _STARTS[self.start]
        self.numerator.copy_(self.numerator.new_tensor(above).unsqueeze(1))
        self.denominator.copy_(self.denominator.new_tensor(below))
        self.weight.normal_(std=1 / math.sqrt(square * self.in_features))
        self.bias.zero_()

    def rational(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch in_features"]:
        """The function of its group at every input."""
        return rational(x, self.numerator, self.denominator)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        return F.linear(self.rational(features(x, self.in_features)), self.weight, self.bias)

    extra_repr = described
