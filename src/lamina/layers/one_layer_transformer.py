"""A transformer of one layer: self-attention, then a dense net with ReLU at every place."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError
from lamina.layers.arguments import described, features, whole


@layer(
    domain="sequences",
    summary="one self-attention and a dense ReLU net: any continuous map of sequences",
    paper="Gumaan 2025, Universal Approximation Theorem for a Single-Layer Transformer, arXiv:2507.10581",
)
class OneLayerTransformer(nn.Module):
    r"""A transformer of one layer: places, self-attention of several heads, and a net of one ReLU layer.

    .. math:: h_i = E x_i + p_i, \qquad
              z_i = h_i + W_o \big[\textstyle\sum_j \mathrm{softmax}_j(q_{gi}^\top k_{gj} / \sqrt d)\, v_{gj}\big]_g,
              \qquad y_i = W_2 \max(0,\ W_1 z_i + b_1) + b_2

    with queries, keys and values linear in :math:`h`, heads :math:`g`. Wide enough, it approximates any continuous
    map of sequences on a compact domain. Without the places :math:`p` it could do so only for maps that permute
    their outputs with their inputs.

    Args:
        in_features: size of a token.
        out_features: size of an output token.
        tokens: their number, which has a learnt place :math:`p_i` for each.
        heads: attentions side by side. Default 4.
        size: of :math:`h`. Default None: that of an input or an output, whichever is more.
        units: of the ReLU layer. Default None: twice the size of :math:`h`.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another number of tokens or another last dimension.

    Source:
        Gumaan 2025, Universal Approximation Theorem for a Single-Layer Transformer, arXiv:2507.10581.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tokens: int,
        heads: int = 4,
        size: int | None = None,
        units: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, tokens=tokens, heads=heads)
        inner = max(in_features, out_features) if size is None else size
        whole(size=inner)
        hidden = 2 * inner if units is None else units
        whole(units=hidden)
        self.in_features, self.out_features, self.tokens, self.heads = in_features, out_features, tokens, heads
        self.size, self.units, self.head = size, units, -(-inner // heads)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.embed, self.places = empty(inner, in_features), empty(tokens, inner)
        self.attend, self.attended = empty(3 * heads * self.head, inner), empty(inner, heads * self.head)
        self.weight, self.bias = empty(hidden, inner), empty(hidden)
        self.out_weight, self.out_bias = empty(out_features, hidden), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw maps that keep the variance, half of it in the places, without biases."""
        for weight in (self.embed, self.attend, self.attended, self.weight, self.out_weight):
            nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[-1]))
        nn.init.normal_(self.places)
        with torch.no_grad():
            for weight in (self.embed, self.places):
                weight.mul_(math.sqrt(0.5))
            self.out_weight.mul_(math.sqrt(2))
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.out_bias)

    def attention(self, h: Float[Tensor, "*batch tokens size"]) -> Float[Tensor, "*batch tokens size"]:
        """What each token reads from all."""
        parts = F.linear(h, self.attend).unflatten(-1, (3, self.heads, self.head)).unbind(-3)
        q, k, v = (part.transpose(-2, -3) for part in parts)
        read = ((q / math.sqrt(self.head)) @ k.mT).softmax(-1) @ v
        return F.linear(read.transpose(-2, -3).flatten(-2), self.attended)

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        features(x, self.in_features)
        if x.ndim < 2 or x.shape[-2] != self.tokens:
            raise LaminaError(f"input of shape {tuple(x.shape)}: it has to have tokens={self.tokens} before the last")
        h = F.linear(x, self.embed) + self.places
        return F.linear(F.linear(h + self.attention(h), self.weight, self.bias).relu(), self.out_weight, self.out_bias)

    extra_repr = described
