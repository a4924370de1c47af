"""KAN: a learnable function of one variable on every edge."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError, unknown
from lamina.kernels.bspline import spline_edges
from lamina.kernels.spline_linear import spline_linear
from lamina.layers.arguments import described, features, positive, whole
from lamina.layers.bases import BASES


@layer(
    domain="any",
    summary="a learnable function, by default a cubic spline, on every edge",
    paper="Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756",
)
class KANLinear(nn.Module):
    r"""Kolmogorov-Arnold layer: every edge from an input to an output carries a function of its own.

    .. math:: y_o = \sum_i \Big( w_{oi}\,\mathrm{silu}(x_i) + \sum_{k=1}^{G+p} c_{oki} B_k(x_i) \Big)

    The :math:`B_k` are the B-splines of degree :math:`p` on `grid` equal intervals, in closed form
    (`lamina.kernels.bspline`), or another basis with as many functions (`lamina.layers.bases`). All edges together are
    one matrix product. Beyond the grid the spline part keeps its value at the border, so only the SiLU part goes on
    growing. Every input has a grid of its own: `adapt` lays it over data, `refine` makes it finer, and neither changes
    the function where the new grid can carry it.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        grid: intervals of the grid; an edge has ``grid + degree + 1`` parameters. Default 5, as in the paper.
        degree: of the splines. Default 3: cubic, as in the paper.
        limit: half the range of the grid at the start. Default 3.0: nearly all of a standardised input lies within.
        basis: spline, chebyshev, legendre, fourier, radial, rational, wavelet or relu. Default "spline", as in the
            paper.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Attributes:
        weight: ``(out_features, grid + degree + 1, in_features)``, those of SiLU first.
        low, high: where the grid of each input begins and ends, ``(in_features,)``.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `limit` is not above 0, the basis is not known, or an input has another last
            dimension.

    Source:
        Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756. One matrix product for all edges, without
        the recursion of Cox and de Boor: Coffman and Chen 2025, MatrixKAN, arXiv:2502.07176.
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        grid: int = 5,
        degree: int = 3,
        limit: float = 3.0,
        basis: str = "spline",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, grid=grid, degree=degree)
        positive(limit=limit)
        if basis not in BASES:
            raise unknown("basis", basis, BASES)
        self.in_features, self.out_features = in_features, out_features
        self.grid, self.degree, self.limit, self.basis = grid, degree, limit, basis
        shape = (out_features, grid + degree + 1, in_features)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.register_buffer("low", torch.full((in_features,), -limit, device=device, dtype=dtype))
        self.register_buffer("high", torch.full((in_features,), limit, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, grid: int = 5, degree: int = 3, limit: float = 3.0) -> KANLinear:
        """The layer that computes what `linear` does for inputs within the grid: its splines are straight lines."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, grid=grid, degree=degree, limit=limit,
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            # a spline whose coefficients are the centres of its B-splines is the identity
            centres = torch.arange(grid + degree, device=weight.device, dtype=weight.dtype) - (degree - 1) / 2
            new.weight[:, 0] = 0
            new.weight[:, 1:] = weight.unsqueeze(1) * (centres * (2 * limit / grid) - limit).unsqueeze(-1)
            if linear.bias is not None:
                new.weight[:, 1:] += linear.bias[:, None, None] / linear.in_features
        return new

    def reset_parameters(self) -> None:
        """Draw SiLU weights that keep the variance of standard normal inputs, and small functions."""
        with torch.no_grad():
            self.weight.normal_(0.0, 0.1 / math.sqrt(self.in_features))
            # E[silu(z)^2] = 0.3558 for a standard normal z
            self.weight[:, 0].normal_(0.0, 1.0 / math.sqrt(0.3558 * self.in_features))

    def edges(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch functions in_features"]:
        """SiLU and the functions of the basis at every entry of `x`: what the weights of an edge are for."""
        scale = self.grid / (self.high - self.low)
        if self.basis == "spline":
            return spline_edges(x, self.low, scale, self.grid, self.degree)
        functions = BASES[self.basis]((x - self.low) * scale, self.grid, self.degree)
        return torch.cat([F.silu(x).unsqueeze(-2), functions], dim=-2)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        features(x, self.in_features)
        if self.basis == "spline":
            scale = self.grid / (self.high - self.low)
            return spline_linear(x, self.low, scale, self.weight, self.grid, self.degree)
        return F.linear(self.edges(x).flatten(-2), self.weight.flatten(1))

    def adapt(self, x: Float[Tensor, "*batch in_features"]) -> KANLinear:
        """A layer of the same function whose grids reach from the least to the largest value of each input in `x`.

        The coefficients are those that come nearest to the function on the new grid, by least squares.

        Raises:
            LaminaError: an input of `x` has one value alone, or none.
        """
        rows = features(x, self.in_features).detach().flatten(0, -2)
        if not len(rows) or bool((rows.amin(0) == rows.amax(0)).any()):
            raise LaminaError(f"data of shape {tuple(x.shape)}: each input needs at least two different values")
        return self._on(self.grid, rows.amin(0), rows.amax(0))

    def refine(self, grid: int) -> KANLinear:
        """A layer of the same function on a finer grid.

        It is the same function exactly where `grid` is a multiple of the present one, else the nearest by least
        squares.
        """
        return self._on(grid, self.low, self.high)

    @torch.no_grad()
    def part(self, outputs: Tensor, inputs: Tensor, *, plus: Tensor | None = None) -> KANLinear:
        """A layer of some outputs and some inputs, given by their numbers, with a constant added to each output."""
        new = self._like(len(inputs), len(outputs), self.grid, self.low[inputs], self.high[inputs])
        new.weight.copy_(self.weight[outputs][..., inputs])
        if plus is not None:
            share = torch.linspace(0, 1, 16 * (self.grid + self.degree), dtype=torch.float64, device=plus.device)
            functions = BASES[self.basis](share.unsqueeze(-1) * self.grid, self.grid, self.degree)[..., 0]
            one = torch.linalg.pinv(functions).sum(-1).to(plus.dtype)  # the coefficients of the constant one
            new.weight[:, 1:] += (plus[:, None] * one).unsqueeze(-1) / len(inputs)
        return new

    @torch.no_grad()
    def _on(self, grid: int, low: Tensor, high: Tensor) -> KANLinear:
        new = self._like(self.in_features, self.out_features, grid, low, high)
        # all inputs share the basis in places of their grids, so one matrix is inverted for all of them
        share = torch.linspace(0, 1, 16 * (grid + self.degree), dtype=torch.float64, device=low.device).unsqueeze(-1)
        x, start = low + share * (high - low), self.low.double()
        theirs = BASES[self.basis]((x - start) * (self.grid / (self.high.double() - start)), self.grid, self.degree)
        ours = BASES[self.basis](share * grid, grid, self.degree)[..., 0]
        change = torch.einsum("kp,pli->kli", torch.linalg.pinv(ours), theirs)
        new.weight[:, 0] = self.weight[:, 0]
        new.weight[:, 1:] = torch.einsum("kli,oli->oki", change, self.weight[:, 1:].double())
        return new

    def _like(self, in_features: int, out_features: int, grid: int, low: Tensor, high: Tensor) -> KANLinear:
        """A layer of other sizes and grids."""
        new = KANLinear(
            in_features, out_features, grid=grid, degree=self.degree, limit=self.limit, basis=self.basis,
            device=self.weight.device, dtype=self.weight.dtype,
        )  # fmt: skip
        new.low.copy_(low)
        new.high.copy_(high)
        return new.train(self.training)

    extra_repr = described
