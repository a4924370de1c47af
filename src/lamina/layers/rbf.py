"""Radial basis functions: a layer of bumps around learned centres, and a linear map."""

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
    summary="Gaussian bumps around learned centres, and a linear map",
    paper="Moody and Darken 1989, Fast Learning in Networks of Locally-Tuned Processing Units, "
    "doi:10.1162/neco.1989.1.2.281",
)
class RBFLinear(nn.Module):
    r"""Radial basis functions: units that answer to inputs near their centres.

    .. math:: y = V \phi(x) + d, \qquad \phi_u(x) = \exp\big(-s_u \|x - c_u\|^2\big)

    Centres :math:`c` and scales :math:`s > 0` are learned by gradient; the paper finds them by clustering. The
    arithmetic limit is that of two dense layers, from the inputs to the units and from there to the outputs.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        units: number of centres. Default None: `out_features`.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Moody and Darken 1989, Fast Learning in Networks of Locally-Tuned Processing Units,
        doi:10.1162/neco.1989.1.2.281.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        units: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        units = out_features if units is None else units
        whole(units=units)
        self.in_features, self.out_features, self.units = in_features, out_features, units
        self.centres = nn.Parameter(torch.empty(units, in_features, device=device, dtype=dtype))
        self.log_scale = nn.Parameter(torch.empty(units, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(out_features, units, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw centres like standard normal inputs, and scales of ``1 / (2 in_features)``: a bump is then about 1/e.

        The mean square of a bump is then ``(1 + 4 / in_features) ** (-in_features / 2)``, and that of outputs one.
        """
        nn.init.normal_(self.centres)
        nn.init.constant_(self.log_scale, -math.log(2 * self.in_features))
        square = (1 + 4 / self.in_features) ** (-self.in_features / 2)
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.units * square))
        nn.init.zeros_(self.bias)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        cross = F.linear(features(x, self.in_features), self.centres)
        distance = x.square().sum(-1, keepdim=True) + self.centres.square().sum(-1) - 2 * cross
        return F.linear((-self.log_scale.exp() * distance.relu()).exp(), self.weight, self.bias)

    extra_repr = described
