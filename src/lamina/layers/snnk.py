"""SNNK: a dense layer as a product of random features of its input and of its weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.kernels.waves import waves
from lamina.layers.arguments import described, features, positive, whole


@layer(
    domain="any",
    summary="sines of dense layers by random features, whose weights' side is trained",
    paper="Sehanobish et al. 2023, Scalable Neural Network Kernels, arXiv:2310.13225",
)
class SNNKLinear(nn.Module):
    r"""Scalable neural network kernel: a layer of sines whose inputs and weights meet in nothing but a dot product.

    .. math:: \sin(w \cdot \hat x + b) = E_g\, \mathrm{Im}\big( e^{ib}\, \phi_g(w)\, \phi_g(\hat x) \big), \qquad
              \phi_g(u) = \exp\big( \sqrt{i}\, g \cdot u - \tfrac{i}{2} \lVert u \rVert^2 \big)

    for a standard normal :math:`g`: random features of the paper's universal kind, here for a sine. With `terms` fixed
    draws the layer is :math:`y = \Psi \Phi(x) + c`, where :math:`\Phi` has the real and the imaginary parts of all
    :math:`\phi_g(\hat x)`, and :math:`\Psi` is trained itself, with no weights behind it: its size does not depend on
    the inputs. The error of an estimate is about :math:`\exp(\lVert w + \hat x \rVert^2 / 2)` by the root of the
    terms, so inputs are brought to length 1: :math:`\hat x = (x, \sqrt n) / \sqrt{\lVert x \rVert^2 + n}` for
    :math:`n` inputs, with a constant that keeps their length apart.

    Layers that follow each other are bundled into one by `depth`: each takes the features of the one before as its
    inputs, and the weights of all are one :math:`\Psi`, which `solve` finds in closed form. The cost is that of two
    dense layers, of which the first has no gradient of its weights, and of an exponential, a sine and a cosine of each
    term. That is 4/3 of the products of a linear-SiLU-linear block with as many parameters, which has a unit for each
    term.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        terms: draws of :math:`g`, each two real features. Default 32.
        depth: layers that are bundled. Default 1.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Sehanobish et al. 2023, Scalable Neural Network Kernels, arXiv:2310.13225.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        terms: int = 32,
        depth: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, terms=terms, depth=depth)
        self.in_features, self.out_features, self.terms, self.depth = in_features, out_features, terms, depth
        for i in range(depth):
            size = 2 * terms if i else in_features
            self.register_buffer(f"draws{i}", torch.empty(terms, size + 1, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(out_features, 2 * terms, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def estimating(cls, linear: nn.Linear, *, terms: int = 32) -> SNNKLinear:
        r"""A layer of depth 1 whose outputs are unbiased estimates of the sine of what `linear` makes of its input.

        The input is that of unit length: :math:`\sin(W x / \sqrt{\lVert x \rVert^2 + n} + b)`.
        """
        w = linear.weight.detach()
        new = cls(linear.in_features, linear.out_features, terms=terms, device=w.device, dtype=w.dtype)
        z = w @ new.get_buffer("draws0")[:, :-1].mT
        phase = z - w.square().sum(1, keepdim=True) / 2
        if linear.bias is not None:
            phase = phase + linear.bias.detach()[:, None]
        with torch.no_grad():
            new.weight.copy_(torch.cat([z.exp() * phase.sin(), z.exp() * phase.cos()], dim=1) / terms)
        return new

    def reset_parameters(self) -> None:
        r"""Draw the fixed :math:`g / \sqrt 2`, and weights for outputs of variance one: a term's mean square is e."""
        for i in range(self.depth):
            draws = nn.init.normal_(self.get_buffer(f"draws{i}")).div_(math.sqrt(2))
            draws[:, -1] *= math.sqrt(draws.shape[1] - 1)  # for the constant
        nn.init.normal_(self.weight, std=1 / math.sqrt(math.e * self.terms))
        nn.init.zeros_(self.bias)

    def features(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch features"]:
        """The real parts of all terms, then the imaginary parts."""
        h = features(x, self.in_features)
        for i in range(self.depth):
            draws = self.get_buffer(f"draws{i}")
            length = (h.square().sum(-1, keepdim=True) + h.shape[-1]).sqrt()
            z = F.linear(h, draws[:, :-1], draws[:, -1]) / length
            h = waves(z, growth=1.0, phase=-0.5)
        return h

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        return F.linear(self.features(x), self.weight, self.bias)

    @torch.no_grad()
    def solve(
        self, x: Float[Tensor, "rows in_features"], y: Float[Tensor, "rows out_features"], *, ridge: float = 1e-3
    ) -> None:
        r"""Set the weights to the minimum of :math:`\sum (\Psi \Phi + c - y)^2 + \lambda \lVert \Psi \rVert^2`.

        The bias is free, and the system is solved in float64.

        Args:
            x: inputs.
            y: what the outputs are to be.
            ridge: :math:`\lambda`. Default 1e-3.

        Raises:
            LaminaError: `ridge` is not above 0, or `x` has another last dimension.
        """
        positive(ridge=ridge)
        h, y = self.features(x).double(), y.double()
        mean, height = h.mean(0), y.mean(0)
        h = h - mean
        weight = torch.linalg.solve(h.mT @ h + ridge * torch.eye(h.shape[1]).to(h), h.mT @ (y - height))
        self.weight.copy_(weight.mT)
        self.bias.copy_(height - mean @ weight)

    extra_repr = described
