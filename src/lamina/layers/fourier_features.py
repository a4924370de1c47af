"""Learnable Fourier features: an encoding of positions in several dimensions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError
from lamina.kernels.waves import waves
from lamina.layers.arguments import described, features, positive, whole


@layer(
    domain="any",
    summary="coordinates as learnable waves, mixed by a small perceptron",
    paper="Li et al. 2021, Learnable Fourier Features for Multi-Dimensional Spatial Positional Encoding, "
    "arXiv:2106.02795",
)
class FourierFeaturesLinear(nn.Module):
    r"""Learnable Fourier features: waves of learnable frequencies over all coordinates, then a small perceptron.

    .. math:: r = \frac{1}{\sqrt{2 F}} [\cos(W_r x),\ \sin(W_r x)], \qquad y = W_2\,\mathrm{gelu}(W_1 r + b_1) + b_2

    At the start :math:`r(x) \cdot r(x')` is about a Gaussian kernel of the distance of `x` and `x'`, in any direction,
    where sinusoids of one coordinate at a time favour the axes. Coordinates that have nothing to do with each other,
    such as the corners of two boxes, are `groups`: each goes through the same waves and perceptron. The cost is that of
    three dense layers, the products of a block with as many parameters, and of a sine and a cosine for each wave.

    Args:
        in_features: number of coordinates, those of all groups.
        out_features: number of outputs, those of all groups.
        frequencies: :math:`F`, the number of waves, each a cosine and a sine. Default 32.
        hidden: units of the perceptron. Default 32, as in the paper.
        scale: the distance that the encoding tells apart at the start, in standard deviations of the inputs; with
            :math:`m` coordinates in a group, the paper's :math:`\gamma` is :math:`\sqrt m` times as large. Default 1.0:
            angles of about one for standard inputs, however many there are.
        groups: in how many equal groups the coordinates come. Default 1.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `scale` is not above 0, `groups` does not divide both sizes, or an input has
            another last dimension.

    Source:
        Li et al. 2021, Learnable Fourier Features for Multi-Dimensional Spatial Positional Encoding, arXiv:2106.02795.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        frequencies: int = 32,
        hidden: int = 32,
        scale: float = 1.0,
        groups: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, frequencies=frequencies, hidden=hidden, groups=groups)
        positive(scale=scale)
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if size % groups:
                raise LaminaError(f"groups={groups!r}: groups has to divide {name}={size!r}")
        self.in_features, self.out_features = in_features, out_features
        self.frequencies, self.hidden, self.scale, self.groups = frequencies, hidden, scale, groups
        coordinates, outputs = in_features // groups, out_features // groups
        self.waves = nn.Parameter(torch.empty(frequencies, coordinates, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(hidden, 2 * frequencies, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(hidden, device=device, dtype=dtype))
        self.out_weight = nn.Parameter(torch.empty(outputs, hidden, device=device, dtype=dtype))
        self.out_bias = nn.Parameter(torch.empty(outputs, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw frequencies with variance ``1 / (scale^2 * coordinates)``, and weights for outputs of variance one."""
        nn.init.normal_(self.waves, std=1 / (self.scale * math.sqrt(self.waves.shape[1])))
        nn.init.normal_(self.weight, std=math.sqrt(2))  # the waves together have a mean square of 1/2
        nn.init.normal_(self.out_weight, std=1 / math.sqrt(0.425 * self.hidden))  # E[gelu(z)^2] of a standard normal z
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.out_bias)

    def waves_at(self, x: Float[Tensor, "*batch coordinates"]) -> Float[Tensor, "*batch waves"]:
        """The cosines and sines of positions, ``sqrt(2 * frequencies)`` times what the perceptron gets."""
        return waves(F.linear(x, self.waves))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        positions = features(x, self.in_features)
        if self.groups > 1:
            positions = positions.unflatten(-1, (self.groups, -1))
        weight = self.weight / math.sqrt(2 * self.frequencies)  # cheaper than to scale the waves
        hidden = F.gelu(F.linear(self.waves_at(positions), weight, self.bias))
        y = F.linear(hidden, self.out_weight, self.out_bias)
        return y.flatten(-2) if self.groups > 1 else y

    extra_repr = described
