"""Multi-layer random features: frozen random layers, and a last layer that can be solved for."""

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
    summary="frozen random layers, then a dense one that is trained or solved for",
    paper="Takhanov 2024, Multi-layer random features and the approximation power of neural networks, arXiv:2404.17461",
)
class RandomFeaturesLinear(nn.Module):
    r"""Random features: hidden layers that keep their random weights, and a trained linear map of the last of them.

    .. math:: h_0 = x, \qquad h_l = \sigma(W_l h_{l-1} + b_l), \qquad y = V h_L + c

    The :math:`W_l` and :math:`b_l` are buffers. With many units :math:`h_L(x) \cdot h_L(x')` per unit is the kernel of
    the network's Gaussian process (NNGP); what the layer can approximate are the functions of its Hilbert space, with
    an error of their norm by the root of the units. `solve` finds :math:`V` and :math:`c` without any training. The
    cost is that of all its dense layers, without gradients of the frozen weights.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        hidden: units of a frozen layer. Default 64.
        depth: :math:`L`, frozen layers. Default 1.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "relu": its kernel is known in
            closed form.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, the activation is not known, or an input has another last dimension.

    Source:
        Takhanov 2024, Multi-layer random features and the approximation power of neural networks, arXiv:2404.17461.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden: int = 64,
        depth: int = 1,
        activation: str = "relu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, hidden=hidden, depth=depth)
        self.in_features, self.out_features, self.hidden, self.depth = in_features, out_features, hidden, depth
        self.activation, self.function = activation, function(activation)
        for i in range(depth):
            size = hidden if i else in_features
            self.register_buffer(f"frozen_weight{i}", torch.empty(hidden, size, device=device, dtype=dtype))
            self.register_buffer(f"frozen_bias{i}", torch.empty(hidden, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(out_features, hidden, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the frozen weights with variance ``1 / inputs`` and biases with 1, and the last layer's.

        Standard inputs then give ReLU units, and outputs, of mean square one, whatever the depth.
        """
        for i in range(self.depth):
            weight = self.get_buffer(f"frozen_weight{i}")
            nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[1]))
            nn.init.normal_(self.get_buffer(f"frozen_bias{i}"))
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.hidden))
        nn.init.zeros_(self.bias)

    def features(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch hidden"]:
        """The units of the last frozen layer."""
        h = features(x, self.in_features)
        for i in range(self.depth):
            h = self.function(F.linear(h, self.get_buffer(f"frozen_weight{i}"), self.get_buffer(f"frozen_bias{i}")))
        return h

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        return F.linear(self.features(x), self.weight, self.bias)

    @torch.no_grad()
    def solve(
        self, x: Float[Tensor, "rows in_features"], y: Float[Tensor, "rows out_features"], *, ridge: float = 1e-3
    ) -> None:
        r"""Set the last layer to the minimum of :math:`\sum (V h + c - y)^2 + \lambda H \lVert V \rVert^2`.

        :math:`H` is `hidden`, so that with many units this is kernel ridge regression with the NNGP kernel and the
        penalty :math:`\lambda`. The bias is free. The system is solved in float64, in units or rows, whichever are
        fewer.

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
        h, y, penalty = h - mean, y - height, ridge * self.hidden
        if len(h) < self.hidden:
            weight = h.mT @ torch.linalg.solve(h @ h.mT + penalty * torch.eye(len(h)).to(h), y)
        else:
            weight = torch.linalg.solve(h.mT @ h + penalty * torch.eye(self.hidden).to(h), h.mT @ y)
        self.weight.copy_(weight.mT)
        self.bias.copy_(height - mean @ weight)

    extra_repr = described
