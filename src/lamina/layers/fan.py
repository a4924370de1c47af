"""FAN: a dense layer with a periodic part."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.kernels.waves import waves
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole, within


@layer(
    domain="any",
    summary="dense layer with a periodic part",
    paper="Dong et al. 2024, FAN: Fourier Analysis Networks, arXiv:2410.02675",
)
class FANLinear(nn.Module):
    r"""Fourier analysis layer: sines and cosines of one linear map beside an ordinary dense part.

    .. math:: y = [\cos(W_p x),\ \sin(W_p x),\ \sigma(W x + b)]

    Cosine and sine share :math:`W_p`, so the layer has fewer parameters than a dense one of its size.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        periodic: share of the outputs that are cosines, and again that are sines, each rounded down; from 0
            to 0.5. Default 0.25, as in the paper: half of the outputs are periodic.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu", as in the paper.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `periodic` is not from 0 to 0.5, the activation is not known, or an
            input has another last dimension.

    Source:
        Dong et al. 2024, FAN: Fourier Analysis Networks, arXiv:2410.02675.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        periodic: float = 0.25,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        within(0.0, 0.5, periodic=periodic)
        self.in_features, self.out_features = in_features, out_features
        self.periodic, self.activation, self.function = periodic, activation, function(activation)
        self.waves = int(periodic * out_features)
        dense = out_features - 2 * self.waves
        self.weight = nn.Parameter(torch.empty(self.waves + dense, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(dense, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights with variance ``1 / in_features``: standard inputs give angles of about one."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        nn.init.zeros_(self.bias)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        bias = F.pad(self.bias, (self.waves, 0))
        angle, dense = F.linear(features(x, self.in_features), self.weight, bias).split(
            (self.waves, len(self.bias)), dim=-1
        )
        return torch.cat([waves(angle), self.function(dense)], dim=-1)

    extra_repr = described
