"""Branches of radial basis functions over a window of past states, joined by attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.layers.arguments import described, features, whole

_SQUARE = 0.37  # mean square of an inverse multiquadric at the start, for standard normal inputs


@layer(
    domain="sequences",
    summary="branches of radial basis functions over past states, joined by attention",
    paper="Sinha 2024, A Multi-Branched Radial Basis Network Approach to Predicting Complex Chaotic Behaviours, "
    "arXiv:2404.00618",
)
class RBFBranches(nn.Module):
    r"""Parallel layers of radial basis functions of the last tokens, weighted by an attention over the branches.

    .. math:: \phi_{bu} = \big(1 + s_{bu} \|m_b \odot (w_t - c_{bu})\|^2\big)^{-1/2}, \qquad
              y_t = \sum_b \mathrm{softmax}_b(a_b^\top \phi_b)\, V_b\, \phi_b + d

    :math:`w_t` are the last `window` tokens up to :math:`t`, with zeros before the first. Branch :math:`b` leaves out
    every feature whose number modulo the branches is :math:`b`: three branches of three features see the three pairs,
    as in the paper. A single branch sees them all. The functions are inverse multiquadrics, with learned centres
    :math:`c` and scales :math:`s > 0`.

    The arithmetic limit is that of two dense layers, from ``window * in_features`` inputs to ``branches * units`` and
    from there to the outputs.

    Args:
        in_features: number of inputs of a token.
        out_features: number of outputs of a token.
        branches: parallel layers. Default 3, as in the paper.
        units: radial basis functions of a branch. Default 16.
        window: tokens that an output depends on, its own included. Default 3.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``.

    Raises:
        LaminaError: a size is below 1, or an input has another last dimension.

    Source:
        Sinha 2024, A Multi-Branched Radial Basis Network Approach to Predicting Complex Chaotic Behaviours,
        arXiv:2404.00618.
    """

    seen: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        branches: int = 3,
        units: int = 16,
        window: int = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, branches=branches, units=units, window=window)
        self.in_features, self.out_features = in_features, out_features
        self.branches, self.units, self.window = branches, units, window
        inputs = window * in_features
        self.centres = nn.Parameter(torch.empty(branches, units, inputs, device=device, dtype=dtype))
        self.log_scale = nn.Parameter(torch.empty(branches * units, device=device, dtype=dtype))
        self.query = nn.Parameter(torch.empty(branches * units, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(out_features, branches * units, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        group = torch.arange(inputs, device=device) // window % branches
        seen = (group != torch.arange(branches, device=device)[:, None]) | (branches == 1)
        self.register_buffer("seen", seen.to(self.bias.dtype), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw centres as constant pasts of standard normal inputs, scales for distances of about one.

        States that follow each other are alike: pasts of unlike ones would be far from every window of a smooth series.
        Outputs have a mean square of about one.
        """
        with torch.no_grad():
            constant = torch.randn_like(self.centres[..., :: self.window])
            self.centres.copy_(constant.repeat_interleave(self.window, -1))
        nn.init.constant_(self.log_scale, -math.log(self.window * self.in_features))
        nn.init.zeros_(self.query)
        nn.init.normal_(self.weight, std=math.sqrt(self.branches / (self.units * _SQUARE)))
        nn.init.zeros_(self.bias)

    def basis(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens branches units"]:
        """The radial basis functions, from 0 to 1."""
        padded, tokens = F.pad(x, (0, 0, self.window - 1, 0)), x.shape[-2]
        past = torch.stack([padded[..., lag : lag + tokens, :] for lag in range(self.window)], -1).flatten(-2)
        centres = self.centres * self.seen.unsqueeze(1)
        own = F.linear(past.square(), self.seen).unsqueeze(-1) + centres.square().sum(-1)
        cross = F.linear(past, centres.flatten(0, 1)).unflatten(-1, (self.branches, -1))
        scale = self.log_scale.exp().view(self.branches, -1)
        return (1 + scale * (own - 2 * cross).relu()).rsqrt()

    def attention(self, basis: Float[Tensor, "*batch branches units"]) -> Float[Tensor, "*batch branches"]:
        """The weights of the branches, which sum to one."""
        return (basis * self.query.view(self.branches, -1)).sum(-1).softmax(-1)

    def forward(self, x: Float[Tensor, "*batch tokens in_features"]) -> Float[Tensor, "*batch tokens out_features"]:
        basis = self.basis(features(x, self.in_features))
        weighted = basis * self.attention(basis).unsqueeze(-1)
        return F.linear(weighted.flatten(-2), self.weight, self.bias)

    extra_repr = described
