"""XNet: a dense layer with a trainable Cauchy activation."""

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
    summary="dense layer whose units are rational functions after Cauchy's integral",
    paper="Li et al. 2024, Model Comparisons: XNet Outperforms KAN, arXiv:2410.02033",
)
class XNetLinear(nn.Module):
    r"""Dense layer with the Cauchy activation: every unit is a rational function with three parameters of its own.

    .. math:: y_o = \frac{\lambda_{1,o} z_o + \lambda_{2,o}}{z_o^2 + d_o^2}, \qquad z = W x + b

    It is the real part of a term of Cauchy's integral formula, which writes a function by its values on a contour.
    A unit is large near :math:`z = 0`, within a band of about :math:`d`, and decays away from it. :math:`\lambda_1`,
    :math:`\lambda_2` and :math:`d` are the parameters ``odd``, ``even`` and ``width``; :math:`d` starts at 1.
    The cost is that of a dense layer and of a rational function of every output, which outweighs a narrow product.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Li et al. 2024, Model Comparisons: XNet Outperforms KAN, arXiv:2410.02033.
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
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.odd = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.even = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.width = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights with variance ``1 / in_features``, biases and numerators too, and set every width to one.

        Random biases put the units in different places, which is what the sum of Cauchy's formula consists of. The
        numerators give outputs of a mean square of one.
        """
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        nn.init.normal_(self.bias)
        # z has variance 2; with d = 1 the mean square is that of the numerators times E[1 / (z^2 + 1)] = 0.5456
        nn.init.normal_(self.odd, std=1 / math.sqrt(0.5456))
        nn.init.normal_(self.even, std=1 / math.sqrt(0.5456))
        nn.init.ones_(self.width)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        # in units of the width the denominator has no parameter: fewer passes over the batch
        d = self.width
        u = F.linear(features(x, self.in_features), self.weight / d.unsqueeze(-1), self.bias / d)
        return torch.addcmul(self.even / d.square(), self.odd / d, u) * (u.square() + 1).reciprocal()

    extra_repr = described
