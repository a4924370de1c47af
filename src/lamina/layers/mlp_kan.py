"""MLP-KAN: a mixture of perceptrons and KANs under one gate."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError
from lamina.layers.arguments import described, features, whole
from lamina.layers.kan import KANLinear


@layer(
    domain="any",
    summary="a mixture of perceptrons and KANs of which a gate chooses few for a row",
    paper="He et al. 2024, MLP-KAN: Unifying Deep Representation and Function Learning, arXiv:2410.03027",
)
class MLPKANLinear(nn.Module):
    r"""Mixture of perceptrons, for representations, and of KANs, for functions, under one learnt gate.

    .. math:: y = \sum_{e \in T(x)} g_e(x)\, f_e(x) + c, \qquad g(x) = \mathrm{softmax}_{T(x)}(V x), \qquad
              T(x) = \mathrm{top}_a(V x)

    The first `dense` experts :math:`f_e` are perceptrons with one hidden layer of SiLU, the others KANs of two layers.
    The gate keeps the `active` experts with the largest scores, and its weights over these sum to one. Experts of a
    kind are computed together, as one wide hidden layer whose units the gate weighs: two matrix products for all
    perceptrons and two for all KANs. All are computed, also those that a row does not use: the arithmetic is that of
    `dense` perceptrons and `kan` networks of splines. With few hidden units it is not the products that take the time
    but the nine functions of every input, some 60 elementwise operations, which ``kan * hidden / 2`` outputs alone
    share.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        dense: number of perceptrons. Default 2, so that an expert of a small network is not tiny; the paper has 4.
        kan: number of KANs. Default 2; the paper has 4.
        active: experts of a row, at most ``dense + kan``. Default 2, as in the paper.
        hidden: hidden units of a perceptron; a KAN has half of them, rounded up, as in the authors' code. Default 8,
            so that networks of any budget can be made; in a transformer the paper has as many as channels.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, a number of experts is below 0, `active` is above their sum, or an input has
            another last dimension.

    Source:
        He et al. 2024, MLP-KAN: Unifying Deep Representation and Function Learning, arXiv:2410.03027; its KANs have
        radial functions in the place of splines.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dense: int = 2,
        kan: int = 2,
        active: int = 2,
        hidden: int = 8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, active=active, hidden=hidden)
        whole(0, dense=dense, kan=kan)
        if active > dense + kan:
            raise LaminaError(f"active={active}: active has to be at most dense + kan={dense + kan}")
        self.in_features, self.out_features = in_features, out_features
        self.dense, self.kan, self.active, self.hidden = dense, kan, active, hidden
        self.sizes = [hidden] * dense + [(hidden + 1) // 2] * kan
        wide, narrow = sum(self.sizes[:dense]), sum(self.sizes[dense:])
        place = {"device": device, "dtype": dtype}
        self.scores = nn.Linear(in_features, dense + kan, bias=False, **place)
        self.bias = nn.Parameter(torch.empty(out_features, **place))
        if dense:
            self.into = nn.Linear(in_features, wide, **place)
            self.out = nn.Linear(wide, out_features, bias=False, **place)
        if kan:
            self.splines = KANLinear(in_features, narrow, **place)
            self.more_splines = KANLinear(narrow, out_features, **place)
        self._scale()

    def reset_parameters(self) -> None:
        """Draw experts that keep the variance of standard normal inputs, and a gate with scores of variance one."""
        for part in self.children():
            part.reset_parameters()  # pyright: ignore[reportCallIssue]
        self._scale()

    @torch.no_grad()
    def _scale(self) -> None:
        """From the variances that the parts draw, ``1 / 3 in_features`` of `torch.nn.Linear`, to those wanted."""
        loss = 1 if self.active == 1 else 0.57  # the mean sum of the squared weights of two experts of four
        self.bias.zero_()
        self.scores.weight.mul_(math.sqrt(3))
        if self.dense:
            self.into.weight.mul_(math.sqrt(3))
            self.into.bias.zero_()
            # E[silu(z)^2] = 0.3558 for a standard normal z
            self.out.weight.mul_(math.sqrt(3 * self.dense / (0.3558 * loss)))
        if self.kan:
            self.more_splines.weight.mul_(math.sqrt(self.kan / loss))

    def gate(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch experts"]:
        """The weights of the experts, perceptrons first: they sum to one, and those that are not active have zero."""
        scores = self.scores(x)
        others = torch.ones_like(scores, dtype=torch.bool)
        others = others.scatter(-1, scores.topk(self.active, dim=-1).indices, False)
        return scores.masked_fill(others, -torch.inf).softmax(-1)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        weights, y = self.gate(features(x, self.in_features)), self.bias
        if self.dense:
            share = weights[..., : self.dense].repeat_interleave(self.sizes[0], -1)
            y = y + self.out(F.silu(self.into(x)) * share)
        if self.kan:
            share = weights[..., self.dense :].repeat_interleave(self.sizes[-1], -1)
            edges = self.more_splines.edges(self.splines(x).to(x.dtype)) * share.unsqueeze(-2)
            y = y + F.linear(edges.flatten(-2), self.more_splines.weight.flatten(1))
        return y

    extra_repr = described
