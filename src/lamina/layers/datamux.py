"""DataMUX: many inputs pass a network at once, in one vector."""

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
    summary="tokens share one pass of a network: mixed before it, told apart after it",
    paper="Murahari et al. 2022, DataMUX: Data Multiplexing for Neural Networks, arXiv:2202.09318",
)
class DataMUX(nn.Module):
    r"""Data multiplexing: fixed random transforms, their mean, one pass of a network, and a head for each place.

    .. math:: h_0 = \frac1N \sum_{i=1}^{N} s_i \odot x_i, \qquad
              h_l = \mathrm{gelu}(W_l h_{l-1} + b_l), \quad l = 1, \dots, L

    .. math:: y_i = V\,\mathrm{norm}(\mathrm{gelu}(D_i h_L + d_i)) + c

    The random :math:`s_i`, standard normal, are frozen: they alone tell the network the place of an input. Inputs
    are independent of each other in the paper, with one output each.

    Args:
        in_features: size of a token, an input.
        out_features: size of an output.
        tokens: :math:`N`, inputs that share a pass.
        hidden: units of the network's layers. Default None: four for each input or output, whichever are more.
        depth: :math:`L`. Default 2.
        size: units of a head. Default None: a quarter of `hidden`, rounded up, so that the heads of a few inputs
            cost less than the network.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size or `depth` is below 1, or an input has another number of tokens or another last dimension.

    Source:
        Murahari et al. 2022, DataMUX: Data Multiplexing for Neural Networks, arXiv:2202.09318.
    """

    transforms: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tokens: int,
        hidden: int | None = None,
        depth: int = 2,
        size: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, tokens=tokens, depth=depth)
        units = 4 * max(in_features, out_features) if hidden is None else hidden
        whole(hidden=units)
        head = -(-units // 4) if size is None else size
        whole(size=head)
        self.in_features, self.out_features, self.tokens = in_features, out_features, tokens
        self.hidden, self.depth, self.size, self.head = hidden, depth, size, head

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.register_buffer("transforms", torch.empty(tokens, in_features, device=device, dtype=dtype))
        sizes = [in_features, *[units] * depth]
        self.weights = nn.ParameterList(empty(units, n) for n in sizes[:-1])
        self.biases = nn.ParameterList(empty(units) for _ in range(depth))
        self.head_weight, self.head_bias = empty(tokens * head, units), empty(tokens * head)
        self.norm = nn.LayerNorm(head, device=device, dtype=dtype)
        self.out_weight, self.out_bias = empty(out_features, head), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw transforms, and maps that keep the variance of standard inputs, without biases."""
        nn.init.normal_(self.transforms)
        for number, weight in enumerate([*self.weights, self.head_weight]):
            gain = self.tokens if number == 0 else 2  # the mean of inputs, and GELU, leave less than they get
            nn.init.normal_(weight, std=math.sqrt(gain / weight.shape[-1]))
        nn.init.normal_(self.out_weight, std=1 / math.sqrt(self.head))
        for bias in (*self.biases, self.head_bias, self.out_bias):
            nn.init.zeros_(bias)
        self.norm.reset_parameters()

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        features(x, self.in_features)
        if x.ndim < 2 or x.shape[-2] != self.tokens:
            raise LaminaError(f"input of shape {tuple(x.shape)}: it has to have tokens={self.tokens} before the last")
        h = (x * self.transforms).mean(-2)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            h = F.gelu(F.linear(h, weight, bias))
        told = F.gelu(F.linear(h, self.head_weight, self.head_bias)).unflatten(-1, (self.tokens, self.head))
        return F.linear(self.norm(told), self.out_weight, self.out_bias)

    extra_repr = described
