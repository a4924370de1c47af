"""Any drop-in layer as a network."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from lamina.layers.arguments import features, whole
from lamina.networks.dropout import Dropout


class Stack(nn.Module):
    r"""`depth` hidden layers of one kind, each with layer normalisation and dropout, then a linear head.

    .. math:: h_{l+1} = \mathrm{dropout}(\mathrm{norm}(\mathrm{layer}_l(h_l))), \qquad y = V h_L + c

    The layer brings its own nonlinearity. Normalisation hands every layer inputs of the size that it is made
    for: within the grid of a spline, about one period of a cosine, products that neither vanish nor explode.

    Args:
        layer: called as ``layer(in_features, out_features)``, a class or a `functools.partial` with its
            options.
        in_features: number of inputs.
        out_features: number of outputs.
        width: units of a hidden layer.
        depth: hidden layers. Default 2, as in `MLP`.
        last: units of the last hidden layer, to meet a budget more closely. Default None: `width`.
        dropout: rate after every hidden layer. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `dropout` is not from 0 to 0.99, or an input has another last
            dimension.
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
        sizes = [in_features, *[width] * (depth - 1), last]
        self.hidden = nn.Sequential()
        for a, b in itertools.pairwise(sizes):
            self.hidden.extend([layer(a, b), nn.LayerNorm(b), Dropout(dropout)])
        self.head = nn.Linear(last, out_features)

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        return self.head(self.hidden(features(x, self.in_features)))
