"""Bilinear layer: the product of two linear maps, and no other nonlinearity."""

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
    summary="the product of two linear maps: exactly a third-order tensor",
    paper="Sharkey 2023, A technical note on bilinear layers for interpretability, arXiv:2305.03452",
)
class BilinearLinear(nn.Module):
    r"""Bilinear layer: two linear maps of the input, multiplied entry by entry.

    .. math:: y = (W_1 x + b_1) \odot (W_2 x + b_2)

    With a constant 1 appended to :math:`x`, output :math:`o` is the quadratic form of the third-order tensor
    :math:`T_{oij} = W_{1,oi} W_{2,oj}`, which can be studied with linear algebra.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Sharkey 2023, A technical note on bilinear layers for interpretability, arXiv:2305.03452.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty(2 * out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(2 * out_features, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> BilinearLinear:
        """The layer that computes exactly what `linear` does: its second factor starts as the constant 1."""
        new = cls(linear.in_features, linear.out_features, device=linear.weight.device, dtype=linear.weight.dtype)
        with torch.no_grad():
            new.weight[: new.out_features] = linear.weight
            new.weight[new.out_features :] = 0
            new.bias[: new.out_features] = 0 if linear.bias is None else linear.bias
            new.bias[new.out_features :] = 1
        return new

    def reset_parameters(self) -> None:
        """Draw both maps with variance ``1 / in_features``, the second around the constant 1.

        A second factor of mean 1 keeps the layer close to a linear one at the start: the product of two maps
        without biases has no gradient at zero and heavy tails.
        """
        nn.init.normal_(self.weight, std=math.sqrt(0.5 / self.in_features))
        nn.init.zeros_(self.bias[: self.out_features])
        nn.init.ones_(self.bias[self.out_features :])

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        first, second = F.linear(features(x, self.in_features), self.weight, self.bias).chunk(2, dim=-1)
        return first * second

    extra_repr = described
