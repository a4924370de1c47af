"""KAN: a learnable function of one variable on every edge."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.arguments import described, features, positive, whole


@layer(
    domain="any",
    summary="a learnable cubic spline on every edge",
    paper="Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756",
)
class KANLinear(nn.Module):
    r"""Kolmogorov-Arnold layer: every edge from an input to an output carries a function of its own.

    .. math:: y_o = \sum_i \Big( w_{oi}\,\mathrm{silu}(x_i) + \sum_{k=1}^{G+3} c_{oik} B_k(x_i) \Big)

    The :math:`B_k` are the cubic B-splines on `grid` equal intervals of ``[-limit, limit]``, in closed form:
    with :math:`v` the distance to the centre of :math:`B_k` in intervals,

    .. math:: B(v) = \tfrac16 \max(2 - v, 0)^3 - \tfrac23 \max(1 - v, 0)^3 .

    All edges together are one matrix product. Beyond the grid the spline part keeps its value at the border,
    so only the SiLU part goes on growing.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        grid: intervals of the spline; an edge has ``grid + 4`` parameters. Default 5, as in the paper.
        limit: half the range of the grid. Default 3.0: nearly all of a standardised input lies within.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `limit` is not above 0, or an input has another last dimension.

    Source:
        Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756.
    """

    centres: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        grid: int = 5,
        limit: float = 3.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, grid=grid)
        positive(limit=limit)
        self.in_features, self.out_features, self.grid, self.limit = in_features, out_features, grid, limit
        self.weight = nn.Parameter(torch.empty(out_features, in_features, grid + 4, device=device, dtype=dtype))
        centres = torch.arange(grid + 3, device=device, dtype=dtype) - (grid / 2 + 1)
        self.register_buffer("centres", centres, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw SiLU weights that keep the variance of standard normal inputs, and small splines."""
        with torch.no_grad():
            self.weight.normal_(0.0, 0.1 / math.sqrt(self.in_features))
            # E[silu(z)^2] = 0.3558 for a standard normal z
            self.weight[..., 0].normal_(0.0, 1.0 / math.sqrt(0.3558 * self.in_features))

    def basis(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch features splines"]:
        """The ``grid + 3`` B-splines at every entry of `x`; they sum to one."""
        intervals = x.clamp(-self.limit, self.limit) * (self.grid / (2 * self.limit))
        v = (intervals.unsqueeze(-1) - self.centres).abs()
        return (2 - v).relu().pow(3) / 6 - (1 - v).relu().pow(3) * (2 / 3)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        features(x, self.in_features)
        edges = torch.cat([F.silu(x).unsqueeze(-1), self.basis(x)], dim=-1)
        return F.linear(edges.flatten(-2), self.weight.flatten(1))

    extra_repr = described
