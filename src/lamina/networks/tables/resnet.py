"""ResNet in its form for tables."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import network
from lamina.layers.arguments import described, features, whole
from lamina.networks.dropout import Dropout


class Block(nn.Module):
    """``h + W2 dropout(gelu(W1 norm(h)))``, with a linear map from `width` to `hidden` units and back."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.into = nn.Linear(width, hidden)
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, width)

    def forward(self, h: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        return h + self.out(self.dropout(F.gelu(self.into(self.norm(h)))))


@network(
    domain="tables",
    summary="residual blocks x + F(x), in the form for tables",
    paper="He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385; "
    "Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959",
)
class ResNet(nn.Module):
    r"""Residual network for tables: a linear stem, blocks that add to what is there, a linear head.

    .. math:: h_{l+1} = h_l + W_2\,\mathrm{dropout}(\mathrm{gelu}(W_1\,\mathrm{norm}(h_l))), \qquad
              y = V\,\mathrm{gelu}(\mathrm{norm}(h_L)) + c

    The form is that of Gorishniy et al., with layer instead of batch normalisation: rows stay independent of
    each other, a batch may have any size, and networks can be stacked into a fleet.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        width: features that the blocks read and add to.
        depth: blocks. Default 2.
        last: hidden units of the last block, to meet a budget more closely. Default None: ``2 * width``, as
            in the other blocks.
        dropout: rate within every block. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `dropout` is not from 0 to 0.99, or an input has another last
            dimension.

    Source:
        He et al. 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385. Form for tables:
        Gorishniy et al. 2021, Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int,
        depth: int = 2,
        last: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, width=width, depth=depth)
        last = 2 * width if last is None else last
        whole(last=last)
        self.in_features, self.out_features = in_features, out_features
        self.width, self.depth, self.last, self.dropout = width, depth, last, dropout
        self.stem = nn.Linear(in_features, width)
        self.blocks = nn.Sequential(*(Block(width, h, dropout) for h in [*[2 * width] * (depth - 1), last]))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, out_features)

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        h = self.blocks(self.stem(features(x, self.in_features)))
        return self.head(F.gelu(self.norm(h)))

    extra_repr = described
