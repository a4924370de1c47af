"""ICGN: a layer that is the gradient of a convex function, by integrating along the line from the origin."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.kernels.tied_step import tied_step
from lamina.layers.arguments import described, features, whole

# With inner weights of variance 1.3^2 / in_features and a standard normal x: the mean of S', and the variance of S.
_GAIN, _SLOPE, _SQUARE = 1.3, 0.234, 0.099


@layer(
    domain="any",
    summary="the gradient of a convex function: a line integral of a network's Jacobian",
    paper="Richter-Powell et al. 2021, Input Convex Gradient Networks, arXiv:2111.12187",
)
class ICGNLinear(nn.Module):
    r"""Input convex gradient network: the line integral of an inner network's Gram matrix from the origin to x.

    .. math:: G(x) = \int_0^1 J(t x)^\top J(t x)\, x\, dt = W^\top \big(S(W x + b) - S(b)\big), \qquad
              y = A\, G(x) + c

    :math:`J` is the Jacobian of the inner network :math:`\sqrt 6\, s(W x + b)`, a layer with the logistic function
    :math:`s`, for which :math:`S = s^2 (3 - 2 s)`. There is no :math:`A` where there are as many outputs as inputs.

    The Jacobian of :math:`G` is symmetric where :math:`J^\top J` is a second derivative. That is so for every single
    layer of an elementwise function, where the integral of a unit is a function of its own :math:`w_i^\top x`, and for
    what multiplies such a layer by an orthogonal matrix. It is not so for two layers in general, so this layer has one.
    The closed form is positive semidefinite without exception. A quadrature is symmetric without exception, and
    positive semidefinite as far as its nodes resolve the slope of :math:`s` on the line.

    The arithmetic limit is that of three products for two matrices, as :math:`W` is used twice, and a logistic function
    for every unit. Without :math:`A` it is two for one: twice the products of a linear-SiLU-linear block with as many
    parameters. A quadrature adds a logistic function for every unit and node.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        units: of the inner network. Default None: `out_features`, or twice as many where no map :math:`A` follows, so
            that the layer has the same number of parameters.
        nodes: of a Gauss-Legendre quadrature, as in the paper. Default 0: the closed form, which is faster.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `nodes` is below 0, or an input has another last dimension.

    Source:
        Richter-Powell, Lorraine and Amos 2021, Input Convex Gradient Networks, arXiv:2111.12187.
    """

    places: Tensor
    shares: Tensor
    weight: nn.Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        units: int | None = None,
        nodes: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        whole(0, nodes=nodes)
        square = in_features == out_features
        units = (1 + square) * out_features if units is None else units
        whole(units=units)
        self.in_features, self.out_features, self.units, self.nodes = in_features, out_features, units, nodes
        self.inner_weight = nn.Parameter(torch.empty(units, in_features, device=device, dtype=dtype))
        self.inner_bias = nn.Parameter(torch.empty(units, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        outer = None if square else nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("weight", outer)
        places, shares = np.polynomial.legendre.leggauss(max(nodes, 1))
        self.register_buffer("places", self._constant((places + 1) / 2), persistent=False)
        self.register_buffer("shares", self._constant(shares / 2), persistent=False)
        self.reset_parameters()

    def _constant(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self.bias.dtype, device=self.bias.device)

    def reset_parameters(self) -> None:
        """Draw inner weights with variance ``1.69 / in_features``, the map so that outputs have about unit variance."""
        ratio, bound = self.units / self.in_features, 1 / math.sqrt(self.in_features)
        nn.init.normal_(self.inner_weight, std=_GAIN * bound)
        nn.init.uniform_(self.inner_bias, -bound, bound)
        nn.init.zeros_(self.bias)
        if self.weight is not None:
            variance = _GAIN**2 * ratio * (_GAIN**2 * _SLOPE**2 * ratio + _SQUARE)
            nn.init.normal_(self.weight, std=bound / math.sqrt(variance))

    def gradient(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch in_features"]:
        """:math:`G(x)`, the gradient of a convex function, 0 at the origin."""
        if self.nodes:
            z = F.linear(x, self.inner_weight)
            step = (z.unsqueeze(-1) * self.places + self.inner_bias.unsqueeze(-1)).sigmoid()
            integral = z * ((6 * (step * (1 - step)).square()) @ self.shares)
            return F.linear(integral, self.inner_weight.t())
        return tied_step(x, self.inner_weight, self.inner_bias, self.bias.new_zeros(self.in_features))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        x = features(x, self.in_features)
        if self.weight is not None:
            return F.linear(self.gradient(x), self.weight, self.bias)
        if self.nodes:
            return self.gradient(x) + self.bias
        return tied_step(x, self.inner_weight, self.inner_bias, self.bias)

    extra_repr = described
