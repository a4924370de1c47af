"""Three layers of matrix exponentials solve two matrix equations exactly, one linear layer does not."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.matrix_exp import solve_two_pairs, three_layers

RESIDUAL = "largest relative residual of the two equations, over the draws"
SMALLEST = "smallest relative residual of the worse equation, over the draws"
SIZE = 4


class MatrixNetwork(nn.Module):
    """Complex matrices, as real and imaginary parts in the last dimension, through three layers or a linear one."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.view_as_complex(x)
        return torch.view_as_real(self.weights[0] @ z if len(self.weights) == 1 else three_layers(self.weights, z))


def solved(in_features: int, out_features: int, *, x: Tensor, y: Tensor) -> nn.Module:
    """The closed form."""
    return MatrixNetwork(solve_two_pairs(x, y))


def linear(in_features: int, out_features: int, *, x: Tensor, y: Tensor) -> nn.Module:
    """The one matrix with the least squared error on both equations, each divided by its size."""
    size = torch.linalg.matrix_norm(y).view(-1, 1, 1)
    sides = [(part / size).transpose(0, 1).flatten(1) for part in (x, y)]
    return MatrixNetwork((sides[1] @ torch.linalg.pinv(sides[0])).unsqueeze(0))


@claim(
    says="Three layers of square complex matrices with the matrix exponential between them have weights in closed form "
    "that satisfy two matrix equations, of which one linear layer can satisfy only one.",
    where="abstract",
    paper="Gai and Zhang 2024, Analytical Solution of a Three-layer Network with a Matrix Exponential Activation "
    "Function, arXiv:2407.02540",
    system=solved,
    baselines={"one linear layer": linear},
    targets=(
        Target(RESIDUAL, "every value", at_most=1e-6),
        Target(SMALLEST, "ratio", at_most=1e-5),
    ),
    data="20 draws (full: 200) of four complex normal 4 x 4 matrices, two inputs and two outputs, for each seed",
    reported="A proof that the weights exist where the matrices are invertible.",
    limits="The closed form was worked out here from the form of the network, the paper was read no further than its "
    "abstract; it needs the difference of the inputs to be invertible too, and the logarithm is taken by eigenvalues, "
    "which matrices that have no basis of eigenvectors do not allow; random ones have one. A smallest residual of the "
    "linear layer above 0.1 and one of the network below 1e-6 are one target, their ratio.",
    unequal="three matrices against one: that depth helps is the claim",
)
def two_equations(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The norm of the residual by that of the right side, of the worse of the two equations, in float64."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(scale.pick(quick=20, full=200)):
        x, y = torch.from_numpy(rng.standard_normal((2, 2, SIZE, SIZE, 2)))
        network = arm(SIZE, SIZE, seed=seed, x=torch.view_as_complex(x), y=torch.view_as_complex(y))
        with torch.no_grad():
            residual = (network(x) - y).flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1)
        found.append(float(residual.max()))
    return {RESIDUAL: max(found), SMALLEST: min(found)}
