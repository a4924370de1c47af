"""Random-feature attention: frozen random scores of queries and keys, trained values."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.arguments import described, features, whole, within


@layer(
    domain="sets",
    summary="attention with frozen random scores, in which the values alone are trained",
    paper="Fu et al. 2023, What can a Single Attention Layer Learn? A Study Through the Random Features Lens, "
    "arXiv:2307.11353",
)
class RandomAttention(nn.Module):
    r"""Random-feature attention: many heads of frozen random scores, and values that are trained.

    .. math:: y_i = \sum_{h=1}^{H} \frac1N \sum_{j=1}^{N} \max(0,\ \tilde x_i^\top A_h \tilde z_j)\, V_h \tilde z_j,
              \qquad \tilde x = (x, 1)

    The output is linear in the only parameters :math:`V`, so that the squared error is convex and a ridge
    regression on `averages` solves it. Entries of the :math:`A_h`, a query and a key matrix in one, are drawn so
    that a score of standard inputs has unit variance; `mean` times :math:`I / \sqrt n` is added to them. An output
    is an average of keys, so that its variance starts at about :math:`1 / N`. The arithmetic limit
    is that of twice a dense layer of its parameters: the frozen matrices are as many as the values.

    Args:
        in_features: :math:`n`, size of a token.
        out_features: size of an output.
        heads: :math:`H`. Default 16.
        mean: of the diagonals of the random matrices; 1.0 makes inner products of queries and keys as strong as
            the noise, which is better where the target depends on them. Default 0.0.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``; keys, if they are not the tokens themselves,
        ``(*, keys, in_features)``.

    Raises:
        LaminaError: a size is below 1, `mean` is below 0, or an input has another last dimension.

    Source:
        Fu et al. 2023, What can a Single Attention Layer Learn? A Study Through the Random Features Lens,
        arXiv:2307.11353.
    """

    scores: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        heads: int = 16,
        mean: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, heads=heads)
        within(0.0, math.inf, mean=mean)
        self.in_features, self.out_features, self.heads, self.mean = in_features, out_features, heads, mean
        size = in_features + 1
        self.register_buffer("scores", torch.empty(heads * size, size, device=device, dtype=dtype))
        self.values = nn.Parameter(torch.empty(out_features, heads * size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw scores of unit variance around their mean, and values for averages of variance ``1 / tokens``."""
        size = self.in_features + 1
        nn.init.normal_(self.scores, std=1 / size)
        nn.init.normal_(self.values, std=math.sqrt(2 / (self.heads * size)))
        diagonal = torch.eye(size, device=self.scores.device, dtype=self.scores.dtype)
        diagonal[-1, -1] = 0
        with torch.no_grad():
            self.scores.add_(self.mean / math.sqrt(self.in_features) * diagonal.repeat(self.heads, 1))

    def averages(
        self, x: Float[Tensor, "*batch tokens in_features"], keys: Float[Tensor, "*batch keys in_features"]
    ) -> Float[Tensor, "*batch tokens features"]:
        """What the values are applied to: each head's average of the keys, weighted by its scores."""
        query, key = (F.pad(features(z, self.in_features), (0, 1), value=1.0) for z in (x, keys))
        projected = F.linear(query, self.scores.unflatten(0, (self.heads, -1)).mT.flatten(0, 1))
        rows = projected.unflatten(-1, (self.heads, -1)).flatten(-3, -2)
        weights = (rows @ key.mT).relu() / key.shape[-2]
        return (weights @ key).unflatten(-2, (-1, self.heads)).flatten(-2)

    def forward(
        self,
        x: Float[Tensor, "*batch tokens in_features"],
        keys: Float[Tensor, "*batch keys in_features"] | None = None,
    ) -> Float[Tensor, "*batch tokens out_features"]:
        return F.linear(self.averages(x, x if keys is None else keys), self.values)

    extra_repr = described
