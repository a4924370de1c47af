"""A perceptron whose layers are evaluated together, one tile of rows after the other."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import network
from lamina.kernels.narrow_mlp import narrow_mlp
from lamina.layers.arguments import described, features, whole
from lamina.networks.dropout import Dropout


@network(
    domain="tables",
    summary="a perceptron with ReLU whose layers are evaluated together, tile by tile of rows",
    paper="Yuan et al. 2024, Fully-fused Multi-Layer Perceptrons on Intel Data Center GPUs, arXiv:2403.17607",
)
class FusedMLP(nn.Module):
    r"""Multi-layer perceptron with ReLU and a linear head, as one operator.

    .. math:: h_{l+1} = \mathrm{dropout}(\max(W_l h_l + b_l,\ 0)), \qquad y = V h_L + c

    Of many rows, all layers are evaluated for one tile before the next, so that activations stay in the cache; the
    backward pass computes them again (`lamina.kernels.narrow_mlp`). Few rows, and all while dropout draws, go layer by
    layer: what is computed is the same.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        width: units of a hidden layer. The narrower, the more is saved.
        depth: hidden layers. Default 2: enough for tables of some ten thousand rows.
        last: units of the last hidden layer, to meet a budget more closely. Default None: `width`.
        dropout: rate after every hidden layer. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `dropout` is not from 0 to 0.99, or an input has another last
            dimension.

    Source:
        Yuan et al. 2024, Fully-fused Multi-Layer Perceptrons on Intel Data Center GPUs, arXiv:2403.17607; before it, on
        another make of GPU, Müller et al. 2021, Real-time Neural Radiance Caching for Path Tracing, arXiv:2106.12372.
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
        last = width if last is None else last
        whole(in_features=in_features, out_features=out_features, width=width, depth=depth, last=last)
        self.in_features, self.out_features = in_features, out_features
        self.width, self.depth, self.last, self.dropout = width, depth, last, dropout
        sizes = [in_features, *[width] * (depth - 1), last]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        self.drop = Dropout(dropout)
        self.head = nn.Linear(last, out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw hidden layers that keep the size of the activations (He et al. 2015, arXiv:1502.01852)."""
        for parameter in self.hidden.parameters():
            if parameter.ndim == 2:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)
        self.head.reset_parameters()

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        h = features(x, self.in_features)
        if not self.drop.training:
            layers = [*self.hidden, self.head]
            return narrow_mlp(h, [layer.weight for layer in layers], [layer.bias for layer in layers])
        for linear in self.hidden:
            h = self.drop(F.relu(linear(h)))
        return self.head(h)

    extra_repr = described
