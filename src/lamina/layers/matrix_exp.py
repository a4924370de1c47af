"""The matrix exponential as an activation, and three layers of it that solve two equations in closed form."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.kernels.matrix_exponential import matrix_exp
from lamina.layers.arguments import described, features, whole


@layer(
    domain="any",
    summary="the exponential of a small square matrix that is linear in the input",
    paper="Gai and Zhang 2024, Analytical Solution of a Three-layer Network with a Matrix Exponential Activation "
    "Function, arXiv:2407.02540; Fischbacher et al. 2020, Intelligent Matrix Exponentiation, arXiv:2008.03936",
)
class MatrixExpLinear(nn.Module):
    r"""A linear map to a square matrix, the exponential of that matrix, and a linear map of its entries.

    .. math:: y = C\, \mathrm{vec}(\exp(M(x))) + c, \qquad \mathrm{vec}(M(x)) = B x + b

    The exponential mixes the entries: it holds products of the inputs where :math:`M` is triangular, sines and cosines
    where it is antisymmetric. It takes most of the time, as maps to and from the matrix are the products of a
    linear-SiLU-linear block with as many parameters: for every row it is at least 6 products of small matrices, at
    about :math:`k^3` multiplications for :math:`k` rows of the matrix, and 18 for the derivative.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        size: rows of the matrix. Default 4: the time grows steeply with it.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        The activation: Gai and Zhang 2024, Analytical Solution of a Three-layer Network with a Matrix Exponential
        Activation Function, arXiv:2407.02540. The layer with maps to and from the matrix: Fischbacher et al. 2020,
        Intelligent Matrix Exponentiation, arXiv:2008.03936.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        size: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, size=size)
        self.in_features, self.out_features, self.size = in_features, out_features, size
        self.weight = nn.Parameter(torch.empty(size**2, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(size**2, device=device, dtype=dtype))
        self.out_weight = nn.Parameter(torch.empty(out_features, size**2, device=device, dtype=dtype))
        self.out_bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw matrices with a spectral radius of about one; no biases."""
        nn.init.normal_(self.weight, std=math.sqrt(1 / (self.in_features * self.size)))
        nn.init.normal_(self.out_weight, std=math.sqrt(0.37 / self.size))
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.out_bias)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        matrix = F.linear(features(x, self.in_features), self.weight, self.bias).unflatten(-1, (self.size, self.size))
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))  # in bfloat16 torch's is not a number
        return F.linear(matrix_exp(matrix).flatten(-2).to(self.out_weight.dtype), self.out_weight, self.out_bias)

    extra_repr = described


def three_layers(weights: Complex[Tensor, "3 n n"], x: Complex[Tensor, "*batch n n"]) -> Complex[Tensor, "*batch n n"]:
    """The paper's network of matrices, ``W3 exp(W2 exp(W1 X))``."""
    first, second, third = weights.unbind(-3)
    exp = torch.linalg.matrix_exp
    return third @ exp(second @ exp(first @ x))


def solve_two_pairs(x: Complex[Tensor, "2 n n"], y: Complex[Tensor, "2 n n"]) -> Complex[Tensor, "3 n n"]:
    r"""Weights with which `three_layers` maps the first matrix of `x` to that of `y`, and the second to the second.

    With :math:`W_1 = \alpha (X_1 - X_2)^{-1}` the inner exponentials differ by a factor, :math:`e^{W_1 X_1} = e^\alpha
    e^{W_1 X_2}`. So :math:`W_2 = A e^{-W_1 X_2}` gives outer arguments :math:`e^\alpha A` and :math:`A`, which commute,
    and :math:`A = \log(Y_2^{-1} Y_1) / (e^\alpha - 1)` and :math:`W_3 = Y_2 e^{-A}` solve both equations. Any complex
    :math:`\alpha` does, unless :math:`e^\alpha = 1`; of many, the one with the smallest error is taken, for
    exponentials of large matrices lose digits. The logarithm has any branch; it is taken by eigenvalues.

    Raises:
        torch.linalg.LinAlgError: a matrix of `y` or the difference of those of `x` has no inverse.

    Source:
        Gai and Zhang 2024, arXiv:2407.02540.
    """
    exp, inverse = torch.linalg.matrix_exp, torch.linalg.inv
    values, vectors = torch.linalg.eig(inverse(y[1]) @ y[0])
    logarithm = vectors @ (values.log().unsqueeze(-1) * inverse(vectors))
    radius = torch.logspace(-1.5, 1, 26, dtype=torch.float64).unsqueeze(1)
    turn = torch.arange(16, dtype=torch.float64) * (math.tau / 16)
    alpha = torch.polar(radius, turn.expand(26, -1)).flatten().to(x).view(-1, 1, 1)
    first = alpha * inverse(x[0] - x[1])
    scaled = logarithm / torch.expm1(alpha)
    weights = torch.stack([first, scaled @ exp(-first @ x[1]), y[1] @ exp(-scaled)], dim=1)
    found = three_layers(weights.unsqueeze(1), x)
    error = (found - y).abs().square().sum((-1, -2)) / y.abs().square().sum((-1, -2))
    return weights[int(error.amax(1).nan_to_num(torch.inf).argmin())]
