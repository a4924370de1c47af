"""Activator: a gated linear unit with normalised factors in the place of attention."""

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
    summary="gated unit of two normalised factors, meant in place of attention",
    paper="Nazhat Abdullah and Aydin 2024, Activator: GLU Activation Function as the Core Component of a Vision "
    "Transformer, arXiv:2405.15953",
)
class ActivatorLinear(nn.Module):
    r"""Activator gating unit: the product of two normalised hidden layers, one of them with a GELU, mapped back.

    .. math:: y = W_3 \big[\mathrm{norm}(\mathrm{gelu}(W_1 x + b_1)) \odot \mathrm{norm}(W_2 x + b_2)\big] + b_3

    Both factors share one layer normalisation. The authors use it on tokens in the place of attention, alone or
    before an ordinary dense block; as in their code it maps every token by itself, so that no token learns of
    another.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        expansion: hidden units for each input or output, whichever are more. Default 2, as in the authors' code.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size or `expansion` is below 1, or an input has another last dimension.

    Source:
        Nazhat Abdullah and Aydin 2024, Activator: GLU Activation Function as the Core Component of a Vision
        Transformer, arXiv:2405.15953.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        expansion: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, expansion=expansion)
        self.in_features, self.out_features, self.expansion = in_features, out_features, expansion
        self.hidden = expansion * max(in_features, out_features)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight, self.bias = empty(2 * self.hidden, in_features), empty(2 * self.hidden)
        self.norm_weight, self.norm_bias = empty(self.hidden), empty(self.hidden)
        self.out_weight, self.out_bias = empty(out_features, self.hidden), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw maps that keep the variance of standard inputs, without biases."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        nn.init.normal_(self.out_weight, std=1 / math.sqrt(self.hidden))
        nn.init.ones_(self.norm_weight)
        for bias in (self.bias, self.norm_bias, self.out_bias):
            nn.init.zeros_(bias)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        gate, value = F.linear(features(x, self.in_features), self.weight, self.bias).chunk(2, -1)
        gate, value = (F.layer_norm(z, (self.hidden,), self.norm_weight, self.norm_bias) for z in (F.gelu(gate), value))
        return F.linear(gate * value, self.out_weight, self.out_bias)

    extra_repr = described
