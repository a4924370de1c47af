"""ResFields: a sine network for functions of space and time whose weights change with the time."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import network
from lamina.layers.arguments import described, features, positive, whole
from lamina.networks.dropout import Dropout


class ResFieldLinear(nn.Module):
    r"""Dense layer whose weights have a residual of low rank that depends on the time.

    .. math:: y = \Big(W + \sum_{r=1}^R v_r(t)\, M_r\Big) x + b

    The coefficients :math:`v` have a row for each of `frames` times, evenly from -1 to 1, and are linear between them;
    times outside get the nearest row. The arithmetic limit is that of ``1 + rank`` dense layers, as all rows of a batch
    may have different times.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        frames: rows of coefficients. Default 16; that of a video is the number of its frames.
        rank: :math:`R`, matrices that all times share. Default 10, as in the paper's code.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` and ``(*)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Mihajlovic et al. 2023, ResFields: Residual Neural Fields for Spatiotemporal Signals, arXiv:2309.03160.
    """

    knots: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        frames: int = 16,
        rank: int = 10,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, frames=frames, rank=rank)
        self.in_features, self.out_features, self.frames, self.rank = in_features, out_features, frames, rank
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.basis = nn.Parameter(torch.empty(out_features, rank * in_features, device=device, dtype=dtype))
        self.coefficients = nn.Parameter(torch.empty(frames, rank, device=device, dtype=dtype))
        self.register_buffer("knots", torch.linspace(-1, 1, frames, device=device, dtype=dtype), persistent=False)
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, frames: int = 16, rank: int = 10) -> ResFieldLinear:
        """The layer that computes exactly what `linear` does at every time: its matrices start at zero."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, frames=frames, rank=rank, device=weight.device, dtype=weight.dtype
        )
        with torch.no_grad():
            new.weight.copy_(weight)
            new.bias.copy_(torch.zeros_like(new.bias) if linear.bias is None else linear.bias)
            new.basis.zero_()
        return new

    def reset_parameters(self) -> None:
        """Draw weights with variance ``1 / in_features``, coefficients and matrices with a deviation of 0.01."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))
        nn.init.zeros_(self.bias)
        nn.init.normal_(self.basis, std=0.01)
        nn.init.normal_(self.coefficients, std=0.01)

    def forward(
        self, x: Float[Tensor, "*batch in_features"], time: Float[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch out_features"]:
        apart = (time.clamp(-1, 1).unsqueeze(-1) - self.knots).abs()
        near = (1 - (self.frames - 1) / 2 * apart).relu()  # of the two rows of coefficients beside it
        terms = ((near @ self.coefficients).unsqueeze(-1) * features(x, self.in_features).unsqueeze(-2)).flatten(-2)
        return F.linear(x, self.weight, self.bias) + F.linear(terms, self.basis)

    extra_repr = described


@network(
    domain="functions",
    summary="a sine network whose weights have a low-rank residual for each time",
    paper="Mihajlovic et al. 2023, ResFields: Residual Neural Fields for Spatiotemporal Signals, arXiv:2309.03160",
)
class ResFields(nn.Module):
    r"""Sine network of coordinates, the last of which is the time, with time-dependent residuals of its weights.

    .. math:: h_1 = \sin(W_1 x + b_1), \qquad
              h_{l+1} = \sin\Big(\big(W_l + \textstyle\sum_r v_{lr}(t)\, M_{lr}\big) h_l + b_l\Big), \qquad
              y = V h_L + c

    The residuals add capacity in time, and no width: see `ResFieldLinear`. Coordinates are to lie from -1 to 1. The
    factor of SIREN, the frequency, stands in the initial :math:`W_1` and nowhere else, so that the learning rates of
    other networks are right for this one.

    Args:
        in_features: number of inputs; the last one is the time :math:`t`, which is an ordinary input too.
        out_features: number of outputs.
        width: units of a hidden layer.
        depth: hidden layers, at least 2; all but the first have residuals. Default 3.
        last: units of the last hidden layer, to meet a budget more closely. Default None: `width`.
        frames: times with coefficients of their own, evenly from -1 to 1. Default 16; for a video its frames.
        rank: matrices that all times share. Default 10, as in the paper's code.
        frequency: of the first layer at the start: its weights are evenly drawn up to `frequency` by `in_features`.
            Default 30.0, as in SIREN.
        dropout: rate after every hidden layer. Default 0.0.

    Shape:
        ``(batch, in_features)`` to ``(batch, out_features)``.

    Raises:
        LaminaError: a size is below 1, `depth` is below 2, `frequency` is not above 0, `dropout` is not from 0 to 0.99,
            or an input has another last dimension.

    Source:
        Mihajlovic et al. 2023, ResFields: Residual Neural Fields for Spatiotemporal Signals, arXiv:2309.03160. Sine
        layers: Sitzmann et al. 2020, Implicit Neural Representations with Periodic Activation Functions,
        arXiv:2006.09661.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int,
        depth: int = 3,
        last: int | None = None,
        frames: int = 16,
        rank: int = 10,
        frequency: float = 30.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        last = width if last is None else last
        whole(in_features=in_features, out_features=out_features, width=width, last=last)
        whole(2, depth=depth)
        positive(frequency=frequency)
        self.in_features, self.out_features = in_features, out_features
        self.width, self.depth, self.last, self.dropout = width, depth, last, dropout
        self.frames, self.rank, self.frequency = frames, rank, frequency
        sizes = [*[width] * (depth - 1), last]
        self.first = nn.Linear(in_features, width)
        self.hidden = nn.ModuleList(
            ResFieldLinear(a, b, frames=frames, rank=rank) for a, b in itertools.pairwise(sizes)
        )
        self.drop = Dropout(dropout)
        self.head = nn.Linear(last, out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights so that angles have unit variance from the second layer on, as in SIREN; residuals are small."""
        bound = self.frequency / self.in_features
        nn.init.uniform_(self.first.weight, -bound, bound)
        nn.init.uniform_(self.first.bias, -math.pi, math.pi)
        for layer in self.hidden:
            layer.reset_parameters()  # type: ignore[operator]
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_features))  # type: ignore[arg-type]
        self.head.reset_parameters()

    def forward(self, x: Float[Tensor, "batch in_features"]) -> Float[Tensor, "batch out_features"]:
        h = self.drop(self.first(features(x, self.in_features)).sin())
        for layer in self.hidden:
            h = self.drop(layer(h, x[..., -1]).sin())
        return self.head(h)

    extra_repr = described
