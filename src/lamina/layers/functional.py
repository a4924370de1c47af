"""Functional layers: the tokens are samples of curves, the weights are functions."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole, within


def legendre(x: Tensor, degrees: int) -> Tensor:
    """Legendre polynomials of degree 0 up to `degrees` - 1, of mean square 1 from -1 to 1, in a new last dimension."""
    values = [torch.ones_like(x), x]
    for n in range(1, degrees - 1):
        values.append(((2 * n + 1) * x * values[-1] - n * values[-2]) / (n + 1))
    return torch.stack([math.sqrt(2 * n + 1) * value for n, value in enumerate(values[:degrees])], -1)


class FunctionalDense(nn.Module):
    r"""Functional dense layer: an integral of a kernel times the input curves, and a bias that is a curve.

    .. math:: y_o(s) = \sigma\Big(\sum_i \int_0^1 w_{oi}(s, t)\, x_i(t)\, dt + b_o(s)\Big), \qquad
              w_{oi}(s, t) = \sum_{kl} c_{okil}\, \phi_k(s)\, \phi_l(t)

    The tokens are the values of the curves at evenly spaced points of the unit interval, any number of them, and the
    :math:`\phi` are Legendre polynomials.

    Args:
        in_features: number of input curves.
        out_features: number of output curves.
        basis: number of polynomials. Default 5.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu".
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size is below 1, the activation is not known, or an input has another last dimension.

    Source:
        Heinrichs et al. 2023, Functional Neural Networks: Shift invariant models for functional data with applications
        to EEG classification, arXiv:2301.05869.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        basis: int = 5,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, basis=basis)
        self.in_features, self.out_features, self.basis = in_features, out_features, basis
        self.activation, self.function = activation, function(activation)
        self.weight = nn.Parameter(torch.empty(basis * out_features, basis * in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(basis * out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw coefficients with variance ``1 / (basis * in_features)`` and a bias of zero."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.basis * self.in_features))
        nn.init.zeros_(self.bias)

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        n = features(x, self.in_features).shape[-2]
        points = (2 * torch.arange(n, device=x.device, dtype=x.dtype) + 1) / n - 1
        phi = legendre(points, self.basis)
        inner = (phi.t() / n) @ x
        outer = F.linear(inner.flatten(-2), self.weight, self.bias).unflatten(-1, (self.basis, -1))
        return self.function(phi @ outer)

    extra_repr = described


@layer(
    domain="sequences",
    summary="a convolution of curves: its kernels are smooth functions in a basis",
    paper="Heinrichs et al. 2023, Functional Neural Networks: Shift invariant models for functional data with "
    "applications to EEG classification, arXiv:2301.05869",
)
class FunctionalConvolution(nn.Module):
    r"""Functional convolution: integrals of smooth kernels times the input curves, alike at every point.

    .. math:: y_o(s) = \sigma\Big(\sum_i \int w_{oi}(s - t)\, x_i(t)\, dt + b_o\Big), \qquad
              w_{oi}(u) = \sum_k c_{oki}\, \phi_k(u)

    The tokens are the values of the curves at evenly spaced points of a circle of length 1, any number of them: the
    weights know functions, not points. The :math:`\phi` are Legendre polynomials on `support`, times a parabola that
    makes kernels end at zero. Shifted curves give shifted outputs, and finer samples the same curves.

    The arithmetic limit is that of a dense layer of ``basis * in_features`` inputs, and of as many numbers smoothed
    over all tokens before it. Curves that are about constant on `support` keep unit variance but for :math:`\sigma`;
    what is rougher is averaged out.

    Args:
        in_features: number of input curves.
        out_features: number of output curves.
        basis: functions that a kernel is made of. Default 5.
        support: length of a kernel, a share of the circle from 0.01 to 1. Default 0.5: half of it.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu".
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size is below 1, `support` is not from 0.01 to 1, the activation is not known, or an input has
            another last dimension.

    Source:
        Heinrichs et al. 2023, Functional Neural Networks: Shift invariant models for functional data with applications
        to EEG classification, arXiv:2301.05869.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        basis: int = 5,
        support: float = 0.5,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, basis=basis)
        within(0.01, 1.0, support=support)
        self.in_features, self.out_features, self.basis, self.support = in_features, out_features, basis, support
        self.activation, self.function = activation, function(activation)
        self.weight = nn.Parameter(torch.empty(out_features, basis * in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw coefficients with variance ``1 / in_features`` and a bias of zero."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        nn.init.zeros_(self.bias)

    def kernels(self, lags: Tensor) -> Tensor:
        """The basis functions at `lags` from -1/2 to 1/2 of the circle, in a new last dimension; 0 off the support."""
        u = (2 / self.support * lags).clamp(-1, 1)
        return 1.5 / self.support * (1 - u.square()).unsqueeze(-1) * legendre(u, self.basis)

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        n = features(x, self.in_features).shape[-2]
        points = torch.arange(n, device=x.device, dtype=x.dtype) / n
        lags = points[:, None] - points
        smooth = self.kernels(lags - lags.round()) / n
        z = torch.einsum("stk,...ti->...ski", smooth, x).flatten(-2)
        return self.function(F.linear(z, self.weight, self.bias))

    extra_repr = described
