"""Deep narrow recurrent network: a stack of recurrent layers just wider than inputs and outputs together."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.arguments import described, features, whole

_SHIFT = 2.0  # of the lifted inputs, so that a ReLU lets nearly all of them pass


@layer(
    domain="sequences",
    summary="a deep stack of narrow recurrent layers with ReLU",
    paper="Song et al. 2023, Minimal Width for Universal Property of Deep RNN, arXiv:2211.13866",
)
class NarrowRNN(nn.Module):
    r"""Stack of narrow recurrent layers between a linear map into their width and one out of it.

    .. math:: h^0_t = P x_t + p, \qquad h^l_t = \max(A_l h^l_{t-1} + B_l h^{l-1}_t + b_l,\ 0), \qquad y_t = Q h^L_t + q

    An output depends on its own token and on those before it. For every continuous causal map of sequences there is
    such a stack close to it whose width is ``in_features + out_features + 3``, whatever the length; only the depth
    grows with the accuracy.

    All layers advance at once, layer :math:`l` one token behind layer :math:`l - 1`: ``tokens + depth - 1`` batched
    products in a row, which is the arithmetic limit. The stack starts close to the identity, as ``depth`` random layers
    of a few units would let nothing pass.

    Args:
        in_features: number of inputs of a token.
        out_features: number of outputs of a token.
        width: units of a layer. Default None: ``in_features + out_features + 3``, the width of the theorem.
        depth: recurrent layers, :math:`L`. Default 4: more are slower and not easily trained.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Song, Hwang, Lee and Kang 2023, Minimal Width for Universal Property of Deep RNN, arXiv:2211.13866. The first
        version has a width of ``in_features + out_features + 2``.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int | None = None,
        depth: int = 4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, depth=depth)
        width = in_features + out_features + 3 if width is None else width
        whole(width=width)
        self.in_features, self.out_features, self.width, self.depth = in_features, out_features, width, depth
        self.lift_weight = nn.Parameter(torch.empty(width, in_features, device=device, dtype=dtype))
        self.lift_bias = nn.Parameter(torch.empty(width, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(depth, 2 * width, width, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(depth, width, device=device, dtype=dtype))
        self.head_weight = nn.Parameter(torch.empty(out_features, width, device=device, dtype=dtype))
        self.head_bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw layers around the identity on their inputs, all with deviations that keep the variance at about one."""
        nn.init.normal_(self.lift_weight, std=1 / math.sqrt(self.in_features))
        nn.init.constant_(self.lift_bias, _SHIFT)
        nn.init.normal_(self.weight, std=0.2 / math.sqrt(self.width * self.depth))
        nn.init.zeros_(self.bias)
        nn.init.normal_(self.head_weight, std=1 / math.sqrt(self.width))
        with torch.no_grad():
            self.weight[:, : self.width] += torch.eye(self.width, device=self.weight.device, dtype=self.weight.dtype)
            self.head_bias.copy_(-_SHIFT * self.head_weight.sum(1))

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        rows = features(x, self.in_features).flatten(0, -3) if x.ndim > 2 else x.unsqueeze(0)
        lifted = F.linear(rows, self.lift_weight, self.lift_bias)
        n, tokens, _ = lifted.shape
        waiting = F.pad(lifted.permute(1, 0, 2), (0, 0, 0, 0, 0, self.depth - 1)).unsqueeze(1)
        state = lifted.new_zeros(self.depth, n, self.width)
        begun = torch.ones(self.depth, self.depth, device=x.device, dtype=lifted.dtype).tril()[..., None, None]
        found = []
        for step in range(tokens + self.depth - 1):
            below = torch.cat([waiting[step], state[:-1]])
            state = torch.baddbmm(self.bias.unsqueeze(1), torch.cat([below, state], -1), self.weight).relu()
            if step < self.depth - 1:
                state = state * begun[step]
            found.append(state[-1])
        y = F.linear(torch.stack(found[self.depth - 1 :], -2), self.head_weight, self.head_bias)
        return y.unflatten(0, x.shape[:-2]) if x.ndim > 2 else y.squeeze(0)

    extra_repr = described
