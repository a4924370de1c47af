"""PCN: a dense layer whose weights are a wave of the distances between learned points."""

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
    summary="dense layer whose weights are waves of distances between learned points",
    paper="Hetterich 2023, Point Cloud Network: An Order of Magnitude Improvement in Linear Layer Parameter Count, "
    "arXiv:2309.12996",
)
class PCNLinear(nn.Module):
    r"""Point cloud layer: every input and every output owns a point, and their distance gives the weight.

    .. math:: y = \sigma(W x + b), \qquad W_{oi} = \sqrt{\tfrac{6}{n}}\; t(\lVert q_o - p_i \rVert)

    with :math:`n` inputs and :math:`t` the triangle wave that is -1 at 0, 1 at 1, and has period 2. In :math:`m`
    dimensions there are :math:`m` parameters for an input and :math:`m + 1` for an output, not one for each pair.
    A network of the paper has one point for a unit, in its role as output and as input alike; here a layer has its
    own. Each call makes the weights anew: the cost is that of a dense layer, three products with :math:`n \times n`
    weights forward and backward, and for each weight of three products of :math:`m` coordinates, a root and a wave. A
    linear-SiLU-linear block with as many parameters has about :math:`m` units, so this is :math:`n / 2m` times its
    products: at 16 dimensions 2 times with 64 inputs and 8 times with 256.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        dimensions: :math:`m`, of the points. Default 16, as in the paper's main result.
        spread: points are drawn evenly from ``-spread`` to ``spread``, in half periods of the wave. Default 10.0, as in
            the paper: distances cover many periods, so that weights start as independent.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "relu", as in the paper.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `spread` is not above 0, the activation is not known, or an input has another
            last dimension.

    Source:
        Hetterich 2023, Point Cloud Network: An Order of Magnitude Improvement in Linear Layer Parameter Count,
        arXiv:2309.12996.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dimensions: int = 16,
        spread: float = 10.0,
        activation: str = "relu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, dimensions=dimensions)
        positive(spread=spread)
        self.in_features, self.out_features, self.dimensions = in_features, out_features, dimensions
        self.spread, self.activation, self.function = spread, activation, function(activation)
        self.in_points = nn.Parameter(torch.empty(in_features, dimensions, device=device, dtype=dtype))
        self.out_points = nn.Parameter(torch.empty(out_features, dimensions, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the points evenly from a cube and set the bias to zero; the weights then have variance ``2 / n``.

        The paper's amplitude is 1 in place of ``sqrt(24)``, from crest to trough, and its biases are small and random.
        """
        nn.init.uniform_(self.in_points, -self.spread, self.spread)
        nn.init.uniform_(self.out_points, -self.spread, self.spread)
        nn.init.zeros_(self.bias)

    @property
    def weight(self) -> Float[Tensor, "out_features in_features"]:
        """The weights that the points stand for."""
        kind = torch.promote_types(self.in_points.dtype, torch.float32)  # torch has no distances in bfloat16
        distance = torch.cdist(self.out_points.to(kind), self.in_points.to(kind))
        height = math.sqrt(6 / self.in_features)
        periods = (distance.detach() / 2).round_()
        weight = torch.add(-height, torch.sub(distance, periods, alpha=2).abs(), alpha=2 * height)
        return weight.to(self.in_points.dtype)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        return self.function(F.linear(features(x, self.in_features), self.weight, self.bias))

    extra_repr = described
