"""DenseNet in its form for tables."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import network
from lamina.layers.arguments import described, features, whole
from lamina.networks.dropout import Dropout


class Block(nn.Module):
    """``[h, dropout(gelu(norm(W h)))]``: `growth` new features behind the ones that are there."""

    def __init__(self, size: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(size, growth)
        self.norm = nn.LayerNorm(growth)
        self.dropout = Dropout(dropout)

    def forward(self, h: Float[Tensor, "batch size"]) -> Float[Tensor, "batch grown"]:
        return torch.cat([h, self.dropout(F.gelu(self.norm(self.linear(h))))], dim=-1)


@network(
    domain="tables",
    summary="every block reads all earlier features, in the form for tables",
    paper="Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993",
)
class DenseNet(nn.Module):
    r"""Densely connected network for tables: every block reads the input and all that earlier blocks made.

    .. math:: h_{l+1} = [h_l,\ \mathrm{dropout}(\mathrm{gelu}(\mathrm{norm}(W_l h_l + b_l)))], \quad h_0 = x,
              \qquad y = V h_L + c

    The head reads all features too, the input among them. Layer instead of batch normalisation keeps rows
    independent of each other. There are no transition layers: nothing needs to be compressed between so few
    blocks.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        width: features that a block adds (the paper's growth rate).
        depth: blocks. Default 3.
        last: features that the last block adds, to meet a budget more closely. Default None: `width`.
        dropout: rate after every block. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `dropout` is not from 0 to 0.99, or an input has another last
            dimension.

    Source:
        Huang et al. 2017, Densely Connected Convolutional Networks, arXiv:1608.06993.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int,
        depth: int = 3,
        last: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        last = width if last is None else last
        whole(in_features=in_features, out_features=out_features, width=width, depth=depth, last=last)
        self.in_features, self.out_features = in_features, out_features
        self.width, self.depth, self.last, self.dropout = width, depth, last, dropout
        self.blocks = nn.Sequential(
            *(Block(in_features + i * width, width, dropout) for i in range(depth - 1)),
            Block(in_features + (depth - 1) * width, last, dropout),
        )
        self.head = nn.Linear(in_features + (depth - 1) * width + last, out_features)

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        return self.head(self.blocks(features(x, self.in_features)))

    extra_repr = described
