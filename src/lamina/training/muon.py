"""Muon over a fleet: orthogonalised momentum for matrices, all members in one batched product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

if TYPE_CHECKING:
    from lamina.training.optimiser import Direction

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
# On a CPU the number of members decides which kernel takes the product of smaller matrices, and each rounds in its own
# way: a member's numbers would depend on who else is in the fleet. Rows and columns of zeros change nothing.
SMALLEST = 16


def orthogonalise(matrices: Tensor, *, iterations: int = 5, eps: float = 1e-7) -> Tensor:
    r"""Matrices with the same singular vectors and singular values near 1, by a Newton-Schulz iteration.

    From :math:`X = M / \|M\|_F`, each iteration takes :math:`X \leftarrow aX + (bA + cA^2)X` with
    :math:`A = XX^\top`, which sends every singular value :math:`s` to :math:`as + bs^3 + cs^5`. The coefficients
    :math:`a, b, c = 3.4445, -4.7750, 2.0315` make small singular values grow fast; the large ones then stay between
    0.68 and 1.21 and do not settle at 1. The products are in bfloat16, because no more precision is needed for that.

    Args:
        matrices: (members, rows, columns).
        iterations: 5 bring every singular value of at least 0.003 times the norm of its matrix into that range.
        eps: the smallest norm that is divided by, so that a zero matrix stays zero.

    Returns:
        (members, rows, columns) in bfloat16.

    Source: Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks,
    https://kellerjordan.github.io/posts/muon/.
    """
    a, b, c = COEFFICIENTS
    rows, columns = matrices.shape[1:]
    x = matrices.bfloat16()
    x = x / x.flatten(1).norm(dim=1).clamp(min=eps)[:, None, None]
    x = pad(x, (0, max(0, SMALLEST - columns), 0, max(0, SMALLEST - rows)))
    if rows > columns:  # the fewer rows, the smaller the products
        x = x.mT
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if rows > columns else x)[:, :rows, :columns]


@dataclass(frozen=True)
class Muon:
    r"""Momentum whose update is orthogonalised, for matrices; another direction for all other tensors.

    With the gradient :math:`G_t` of a matrix: :math:`B_t = \mu B_{t-1} + (1-\mu) G_t`, and the step at unit rate is
    :math:`-\sqrt{\max(1, \text{rows}/\text{columns})}\,\operatorname{orthogonalise}((1-\mu) G_t + \mu B_t)`.

    Args:
        shapes: of one network's tensors, in their order along its row of parameters.
        rest: for the tensors that have not two dimensions.
        momentum: :math:`\mu`; 0.95 is the authors' choice.

    Source: Jordan et al. 2024, Muon: An optimizer for hidden layers in neural networks,
    https://kellerjordan.github.io/posts/muon/; decoupled weight decay after Liu et al. 2025, Muon is Scalable for LLM
    Training, arXiv:2502.16982. The scale of the step is the first one's, as in `torch.optim.Muon`.
    """

    shapes: Sequence[torch.Size]
    rest: Direction
    momentum: float = 0.95

    coupled = False

    def _split(self, whole: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Views of a (members, parameters) matrix: (members, rows, columns) of each matrix, and what is no matrix."""
        parts = whole.split([shape.numel() for shape in self.shapes], dim=1)
        pairs = list(zip(parts, self.shapes, strict=True))
        matrices = [part.unflatten(1, shape) for part, shape in pairs if len(shape) == 2]
        return matrices, [part for part, shape in pairs if len(shape) != 2]

    def begin(self, parameters: Tensor) -> dict[str, Tensor]:
        """The momentum of each matrix, and what `rest` remembers of all other parameters."""
        matrices, others = self._split(parameters)
        memory = {f"momentum.{i}": torch.zeros_like(m).contiguous() for i, m in enumerate(matrices)}
        if others:
            memory |= {f"rest.{name}": tensor for name, tensor in self.rest.begin(torch.cat(others, 1)).items()}
        return memory

    def move(self, step: Tensor, gradient: Tensor, memory: dict[str, Tensor]) -> None:
        """See `Direction.move`."""
        gradients, other_gradients = self._split(gradient)
        steps, other_steps = self._split(step)
        for i, (part, target) in enumerate(zip(gradients, steps, strict=True)):
            momentum = memory[f"momentum.{i}"].lerp_(part, 1 - self.momentum)
            scale = math.sqrt(max(1.0, part.shape[1] / part.shape[2]))
            target.sub_(orthogonalise(part.lerp(momentum, self.momentum)), alpha=scale)
        if other_steps:
            rest = torch.cat(other_steps, 1)
            remembered = {n.removeprefix("rest."): t for n, t in memory.items() if n.startswith("rest.")}
            self.rest.move(rest, torch.cat(other_gradients, 1), remembered)
            for target, part in zip(other_steps, rest.split([t.shape[1] for t in other_steps], 1), strict=True):
                target.copy_(part)
