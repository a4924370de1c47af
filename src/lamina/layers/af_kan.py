"""AF-KAN: products of two shifted activations in the place of splines, weighed by attention and then a linear map."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.kernels.shifted_products import shifted_products
from lamina.layers.activations import ACTIVATIONS
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole


@layer(
    domain="any",
    summary="products of shifted activations, weighed by attention over inputs",
    paper="Ta and Tran 2025, AF-KAN: Activation Function-Based Kolmogorov-Arnold Networks, arXiv:2503.06112",
)
class AFKANLinear(nn.Module):
    r"""KAN layer whose functions are products of shifted activations, with as few weights as a dense layer.

    .. math:: y = W\, \sigma(\mathrm{norm}(z)), \qquad
              z_i = n\,\mathrm{softmax}_i\Big(\tfrac1\tau \sum_k v_k A_k(x_i)\Big) \sum_k A_k(x_i), \qquad
              A_k(x_i) \propto \big(\sigma(x_i - s_k)\, \sigma(e_k - x_i)\big)^2

    The starts :math:`s_k` and ends :math:`e_k` of the `grid` + `degree` functions are learnt and begin as those of
    B-splines on [-1, 1]. Among all functions of a row the smallest is brought to 0 and the largest to 1, so that a row
    does not depend on others, where the paper takes them over a batch. One weight for each function, :math:`v_k`, gives
    the scores by which the :math:`n` inputs share attention, at a learnt temperature :math:`\tau` of at least 1. The
    factor :math:`n` keeps numbers near one before the layer normalisation, which hides it. A layer of one input is
    constant, for the normalisation leaves nothing of it.

    The arithmetic is that of ``grid + degree`` products of two activations for each input beside one matrix product,
    and of these again with their slopes in the backward pass, which computes them anew instead of keeping them: some 30
    elementwise operations for an input and a function, where the matrix product takes ``6 out_features`` for an input.
    With 64 outputs they take about four times as long as the
    matrix product, with 256 somewhat longer than it. The paper too says that it costs more time than a dense layer.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        grid: intervals of the grid. Default 3, as in the authors' code.
        degree: of the B-splines whose places the functions take at the start. Default 3, as there.
        activation: :math:`\sigma`, a key of `lamina.layers.activations.ACTIVATIONS` without parameters. Default
            "silu", the paper's choice; with "relu" the functions are those of ReLU-KAN.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, the activation is not known, or an input has another last dimension.

    Source:
        Ta and Tran 2025, AF-KAN: Activation Function-Based Kolmogorov-Arnold Networks for Efficient Representation
        Learning, arXiv:2503.06112: of its products the squared one, of its reductions the global attention.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        grid: int = 3,
        degree: int = 3,
        activation: str = "silu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, grid=grid, degree=degree)
        self.in_features, self.out_features, self.grid, self.degree = in_features, out_features, grid, degree
        self.activation, self.function = activation, function(activation)
        self.start, self.end, self.score = (
            nn.Parameter(torch.empty(grid + degree, device=device, dtype=dtype)) for _ in range(3)
        )
        self.temperature = nn.Parameter(torch.empty(1, device=device, dtype=dtype))
        self.norm = nn.LayerNorm(in_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Lay the functions over [-1, 1], draw scores, and weights that with SiLU keep the variance."""
        count, interval = self.grid + self.degree, 2 / self.grid
        self.start.copy_(torch.arange(-self.degree, self.grid, device=self.start.device) * interval - 1)
        self.end.copy_(self.start + (self.degree + 1) * interval)
        self.score.uniform_(-1 / math.sqrt(count), 1 / math.sqrt(count))
        self.temperature.fill_(math.sqrt(self.in_features))
        self.norm.reset_parameters()
        nn.init.normal_(self.weight, std=ACTIVATIONS[self.activation].gain / math.sqrt(self.in_features))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        z = shifted_products(
            features(x, self.in_features), self.start, self.end, self.score, self.temperature,
            function=self.function,
        )  # fmt: skip
        return F.linear(self.function(self.norm(z)), self.weight)

    extra_repr = described
