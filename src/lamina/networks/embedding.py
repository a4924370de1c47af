"""Embeddings for columns of category codes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.errors import LaminaError
from lamina.layers.arguments import features, whole


class CategoryEmbedding(nn.Module):
    r"""Replaces the last columns of a table, which hold category codes, by learnt vectors.

    All columns share one table of ``sum(categories)`` vectors, each column with its own part of it, and one
    size, :math:`\min(8, \lceil\sqrt{c}\,\rceil)` for the column with most categories :math:`c`: a handful of
    numbers tells some dozens of categories apart, and a small network has no parameters to waste on more.

    Args:
        in_features: number of columns, those with codes included.
        categories: number of categories of each of the last ``len(categories)`` columns. Their codes run from
            0 to one less; a code beyond is read as the nearest of them.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``, where ``out_features`` is the number of the other
        columns and ``len(categories) * dim``.

    Raises:
        LaminaError: a size is below 1, there are more category columns than columns, or an input has another
            last dimension.
    """

    first: Tensor
    sizes: Tensor

    def __init__(self, in_features: int, categories: Sequence[int]) -> None:
        super().__init__()
        whole(in_features=in_features)
        for i, size in enumerate(categories):
            whole(**{f"categories[{i}]": size})
        if not 0 < len(categories) <= in_features:
            raise LaminaError(f"categories={tuple(categories)}: there have to be from 1 to in_features={in_features}")
        self.in_features, self.categories = in_features, tuple(categories)
        self.dim = min(8, math.ceil(math.sqrt(max(categories))))
        self.numbers = in_features - len(categories)
        self.out_features = self.numbers + len(categories) * self.dim
        self.weight = nn.Parameter(torch.empty(sum(categories), self.dim))
        sizes = torch.tensor(self.categories)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("first", sizes.cumsum(0) - sizes, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors from a standard normal, the scale of the standardised columns beside them."""
        nn.init.normal_(self.weight)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        features(x, self.in_features)
        numbers, codes = x[..., : self.numbers], x[..., self.numbers :].long()
        rows = self.first + codes.clamp_min(0).minimum(self.sizes - 1)
        return torch.cat([numbers, F.embedding(rows, self.weight).flatten(-2).to(x.dtype)], dim=-1)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, categories={self.categories}"
