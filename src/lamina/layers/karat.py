"""Fourier-KArAt: attention whose softmax is replaced by learnt functions of the scores."""

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
    summary="attention with learnt Fourier series of the scores in place of softmax",
    paper="Maity et al. 2025, Kolmogorov-Arnold Attention: Is Learnable Attention Better For Vision Transformers?, "
    "arXiv:2503.10632",
)
class FourierKArAt(nn.Module):
    r"""Kolmogorov-Arnold attention of low rank: rows of scores pass learnt functions, then a map back to rows.

    .. math:: s_{kq} = \frac{(W_q x_k + b_q)^\top (W_k x_q + b_k)}{\sqrt d}, \qquad
              f_{kp} = \sum_{q=1}^{N} \sum_{m=1}^{G} a_{pqm} \cos(m\, s_{kq}) + b_{pqm} \sin(m\, s_{kq})

    .. math:: y_k = W_o \sum_{l=1}^{N} \Big(\sum_{p=1}^{r} W_{lp} f_{kp}\Big) (W_v x_l + b_v) + c

    for every head, with functions of its own. The weights of the values are of any sign and sum to anything: the
    projection to the probability simplex made the paper's results worse and is left out there and here. The sum
    over :math:`l` is done before that over :math:`p`, so that no :math:`N \times N` weights are formed after the
    functions. Its arithmetic limit is :math:`2 G` sines and cosines of each score.

    Args:
        in_features: size of a token.
        out_features: size of an output token.
        tokens: :math:`N`, which the functions fix.
        heads: attentions side by side. Default 1.
        rank: :math:`r`. Default 12, as in the paper.
        grid: :math:`G`, frequencies. Default 3, the paper's best for its smaller networks.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another number of tokens or another last dimension.

    Source:
        Maity et al. 2025, Kolmogorov-Arnold Attention: Is Learnable Attention Better For Vision Transformers?,
        arXiv:2503.10632.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        tokens: int,
        heads: int = 1,
        rank: int = 12,
        grid: int = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, tokens=tokens, heads=heads, rank=rank, grid=grid)
        self.in_features, self.out_features, self.tokens = in_features, out_features, tokens
        self.heads, self.rank, self.grid, self.size = heads, rank, grid, -(-out_features // heads)
        width = heads * self.size

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.weight, self.bias = empty(3 * width, in_features), empty(3 * width)
        self.functions, self.back = empty(heads, rank, 2 * grid * tokens), empty(heads, rank, tokens)
        self.out_weight, self.out_bias = empty(out_features, width), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw maps and functions so that standard inputs give outputs of about unit variance, without biases."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        nn.init.normal_(self.functions, std=1 / math.sqrt(self.grid * self.tokens))
        nn.init.normal_(self.back, std=1 / math.sqrt(self.rank * self.tokens))
        nn.init.normal_(self.out_weight, std=1 / math.sqrt(self.heads * self.size))
        for bias in (self.bias, self.out_bias):
            nn.init.zeros_(bias)

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        features(x, self.in_features)
        if x.ndim < 2 or x.shape[-2] != self.tokens:
            raise LaminaError(f"input of shape {tuple(x.shape)}: it has to have tokens={self.tokens} before the last")
        z = F.linear(x, self.weight, self.bias).unflatten(-1, (3, self.heads, self.size))
        q, k, v = (part.transpose(-2, -3) for part in z.unbind(-3))
        scores = (q / math.sqrt(self.size)) @ k.mT
        kind = torch.promote_types(scores.dtype, torch.float32)  # angles of few digits are no angles
        wave = torch.arange(2 * self.grid, device=x.device, dtype=kind).unsqueeze(-1)
        frequency, phase = wave % self.grid + 1, (wave < self.grid).to(kind) * (math.pi / 2)
        waves = torch.addcmul(phase, frequency, scores.unsqueeze(-2)).sin().flatten(-2).to(scores.dtype)
        found = torch.einsum("...hkf,hrf->...hkr", waves, self.functions)
        read = found @ (self.back @ v)
        return F.linear(read.transpose(-2, -3).flatten(-2), self.out_weight, self.out_bias)

    extra_repr = described
