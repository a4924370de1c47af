"""Any layer on tokens as a network for tables."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.layers.arguments import features, whole
from lamina.networks.dropout import Dropout


class TokenStack(nn.Module):
    r"""Every column becomes a token; residual layers mix the tokens; their mean goes through a dense head.

    .. math:: t_i = x_i a_i + b_i, \qquad T \leftarrow T + \mathrm{dropout}(\mathrm{layer}_l(\mathrm{norm}(T))), \qquad
              y = V\,\mathrm{gelu}(W\,\overline{\mathrm{norm}(T)} + c) + d

    Args:
        layer: called as ``layer(in_features, out_features)``, a class or a `functools.partial` with its options;
            it maps ``(batch, tokens, in_features)`` to ``(batch, tokens, out_features)``.
        in_features: number of columns, and so of tokens.
        out_features: number of outputs.
        width: size of a token.
        depth: layers. Default 2, as in `Stack`.
        last: units of the dense head, to meet a budget more closely. Default None: `width`.
        dropout: rate after every layer and in the head. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `dropout` is not from 0 to 0.99, or an input has another last dimension.

    Source:
        Tokens of columns: Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959.
    """

    def __init__(
        self,
        layer: Callable[[int, int], nn.Module],
        in_features: int,
        out_features: int,
        *,
        width: int,
        depth: int = 2,
        last: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        last = width if last is None else last
        whole(in_features=in_features, out_features=out_features, width=width, depth=depth, last=last)
        self.in_features, self.out_features = in_features, out_features
        self.scale = nn.Parameter(torch.randn(in_features, width))
        self.offset = nn.Parameter(torch.randn(in_features, width))
        self.layers = nn.ModuleList(layer(width, width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth + 1))
        self.drop = Dropout(dropout)
        self.hidden, self.head = nn.Linear(width, last), nn.Linear(last, out_features)

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        tokens = features(x, self.in_features).unsqueeze(-1) * self.scale + self.offset
        for layer, norm in zip(self.layers, self.norms, strict=False):
            tokens = tokens + self.drop(layer(norm(tokens)))
        return self.head(self.drop(F.gelu(self.hidden(self.norms[-1](tokens).mean(-2)))))
