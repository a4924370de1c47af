"""S-KAN: edges choose among several bases of functions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError, unknown
from lamina.layers.arguments import described, features, positive, whole
from lamina.layers.bases import BASES


@layer(
    domain="any",
    summary="learnable functions on edges, in a mixture of bases of which the best is kept",
    paper="Yang et al. 2024, Activation Space Selectable Kolmogorov-Arnold Networks, arXiv:2408.08338",
)
class SKANLinear(nn.Module):
    r"""KAN layer whose inputs mix several bases of functions, until the best of each is selected.

    .. math:: y_o = \sum_i \Big( w_{oi}\,\mathrm{silu}(x_i) + \sum_m \mathrm{softmax}_m(a_{mi})
              \sum_{k=1}^{G+p} c_{omki} B^m_k(x_i) \Big)

    Training has three stages. In the first all bases :math:`B^m` of the pool learn together, and the mixing weights
    :math:`a`, one for each basis and input, learn which serve. Then `select` keeps the basis with the largest weight
    for every input and prunes the others; the layer that it returns is trained on. Until then the layer costs
    ``len(pool)`` KAN layers: a matrix product for each basis.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        pool: names of bases, of `lamina.layers.bases.BASES`. Default ("spline", "chebyshev", "wavelet"): local, global
            and oscillating functions.
        grid: intervals of the grid; every basis has ``grid + degree`` functions. Default 5, as in KAN.
        degree: of the splines. Default 3, as in KAN.
        limit: half the range of the grid. Default 3.0: nearly all of a standardised input lies within.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `limit` is not above 0, the pool is empty or has a basis that is not known, or
            an input has another last dimension.

    Source:
        Yang et al. 2024, Activation Space Selectable Kolmogorov-Arnold Networks, arXiv:2408.08338.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        pool: Sequence[str] = ("spline", "chebyshev", "wavelet"),
        grid: int = 5,
        degree: int = 3,
        limit: float = 3.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, grid=grid, degree=degree)
        positive(limit=limit)
        if isinstance(pool, str) or not pool:
            raise LaminaError(f"pool={pool!r}: pool has to be the names of at least one basis")
        for basis in pool:
            if basis not in BASES:
                raise unknown("basis of pool", basis, BASES)
        self.in_features, self.out_features, self.pool = in_features, out_features, tuple(pool)
        self.grid, self.degree, self.limit = grid, degree, limit
        shape = (out_features, len(self.pool), grid + degree, in_features)
        self.base = nn.Parameter(torch.empty(out_features, 1, in_features, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.mix = nn.Parameter(torch.empty(len(self.pool), in_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw SiLU weights that keep the variance of standard normal inputs, small functions, equal mixtures."""
        # E[silu(z)^2] = 0.3558 for a standard normal z
        nn.init.normal_(self.base, std=1 / math.sqrt(0.3558 * self.in_features))
        nn.init.normal_(self.weight, std=0.1 / math.sqrt(self.in_features))
        nn.init.zeros_(self.mix)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        y = F.linear(F.silu(features(x, self.in_features)), self.base.squeeze(1))
        # a product for each basis, as one alone would need copies of all functions and of all weights
        for functions, weight, share in zip(
            _functions(self, x), self.weight.unbind(1), self.mix.softmax(0), strict=True
        ):
            y = y + F.linear(functions.flatten(-2), (weight * share).flatten(1))
        return y

    @torch.no_grad()
    def select(self) -> SelectedKANLinear:
        """The layer with one basis for each input, that of the largest mixing weight, and its functions as learnt."""
        new = SelectedKANLinear(
            self.in_features, self.out_features, pool=self.pool, grid=self.grid, degree=self.degree, limit=self.limit
        ).to(self.weight)
        new.chosen.copy_(F.one_hot(self.mix.argmax(0), len(self.pool)).T)
        kept = self.weight * (self.mix.softmax(0) * new.chosen).unsqueeze(1)
        new.weight.copy_(torch.cat([self.base, kept.sum(1)], dim=1))
        return new.train(self.training)

    extra_repr = described


class SelectedKANLinear(nn.Module):
    """KAN layer with a basis for each input: what `SKANLinear.select` returns.

    Args: those of `SKANLinear`.

    Attributes:
        weight: ``(out_features, grid + degree + 1, in_features)``, those of SiLU first.
        chosen: ``(len(pool), in_features)``, 1 for the basis of an input. It is a buffer, so that layers with other
            choices train in one fleet.
    """

    chosen: Tensor

    def __init__(
        self, in_features: int, out_features: int, *, pool: Sequence[str], grid: int, degree: int, limit: float
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.pool = in_features, out_features, tuple(pool)
        self.grid, self.degree, self.limit = grid, degree, limit
        self.weight = nn.Parameter(torch.zeros(out_features, grid + degree + 1, in_features))
        self.register_buffer("chosen", torch.zeros(len(self.pool), in_features))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        first, *others = _functions(self, features(x, self.in_features))
        functions = first * self.chosen[0]
        for mask, values in zip(self.chosen[1:], others, strict=True):
            functions = torch.addcmul(functions, values, mask)
        edges = torch.cat([F.silu(x).unsqueeze(-2), functions], dim=-2)
        return F.linear(edges.flatten(-2), self.weight.flatten(1))

    extra_repr = described


def _functions(layer: SKANLinear | SelectedKANLinear, x: Tensor) -> list[Tensor]:
    """All functions of each basis of the pool, ``(*, grid + degree, features)``."""
    u = (x + layer.limit) * (layer.grid / (2 * layer.limit))
    return [BASES[basis](u, layer.grid, layer.degree) for basis in layer.pool]
