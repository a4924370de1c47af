"""MONet's Mu-Layer: products of linear maps in the place of an activation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.arguments import described, features, whole


@layer(
    domain="any",
    summary="Mu-Layer: hidden units times a low-rank linear map, no activation",
    paper="Cheng et al. 2024, Multilinear Operator Networks, arXiv:2401.17992",
)
class MuLinear(nn.Module):
    r"""Mu-Layer: a linear map, multiplied entry by entry with a low-rank one, then mapped to the outputs.

    .. math:: y = C\,[(A x + a) \odot (B (D x + d) + b)] + c

    It is a polynomial of degree 2 in its input, and :math:`L` of them in a row one of degree :math:`2^L`. The
    paper's shortcut :math:`+ A x` is the bias :math:`b`, which starts at one and is learnt. The layer
    normalisation of both factors in the authors' code is left out, so that the layer is a polynomial.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        expansion: hidden units for each input or output, whichever are more. Default 1, as in the half of the
            paper's block that mixes places; the other half has 3.
        reduction: hidden units for each unit of rank of :math:`B D`, which is at least 1. Default 8, as in the
            authors' code.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size, `expansion` or `reduction` is below 1, or an input has another last dimension.

    Source:
        Cheng et al. 2024, Multilinear Operator Networks, arXiv:2401.17992.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        expansion: int = 1,
        reduction: int = 8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, expansion=expansion, reduction=reduction)
        self.in_features, self.out_features = in_features, out_features
        self.expansion, self.reduction = expansion, reduction
        self.hidden = expansion * max(in_features, out_features)
        self.rank = max(1, self.hidden // reduction)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight, self.bias = empty(self.hidden + self.rank, in_features), empty(self.hidden + self.rank)
        self.factor_weight, self.factor_bias = empty(self.hidden, self.rank), empty(self.hidden)
        self.out_weight, self.out_bias = empty(out_features, self.hidden), empty(out_features)
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, expansion: int = 1) -> MuLinear:
        """The layer that computes what `linear` does: its second factor starts as the constant 1."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, expansion=expansion, device=weight.device, dtype=weight.dtype
        )
        with torch.no_grad():
            new.weight[: new.out_features] = weight
            new.factor_weight.zero_()
            new.out_weight.copy_(torch.eye(new.out_features, new.hidden))
            if linear.bias is not None:
                new.out_bias.copy_(linear.bias)
        return new

    def reset_parameters(self) -> None:
        """Draw maps that keep the variance, around the constant 1 for the second factor, and no other biases."""
        nn.init.normal_(self.weight, std=math.sqrt(1 / self.in_features))
        nn.init.normal_(self.factor_weight, std=math.sqrt(1 / self.rank))
        nn.init.normal_(self.out_weight, std=math.sqrt(0.5 / self.hidden))  # the product has variance 1 + 1
        nn.init.ones_(self.factor_bias)
        for bias in (self.bias, self.out_bias):
            nn.init.zeros_(bias)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        z = F.linear(features(x, self.in_features), self.weight, self.bias)
        factor = F.linear(z[..., self.hidden :], self.factor_weight, self.factor_bias)
        return F.linear(z[..., : self.hidden] * factor, self.out_weight, self.out_bias)

    extra_repr = described
