"""A Kolmogorov-Arnold network: layers of learnable functions and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lamina.errors import LaminaError
from lamina.layers.arguments import features, whole, within
from lamina.layers.kan import KANLinear

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from lamina.networks.kan.formula import Formula


class KAN(nn.Module):
    r"""Layers of learnable functions on edges, without normalisation or a head: sums of functions of sums.

    .. math:: h_{l+1, o} = \sum_i \varphi_{l, o, i}(h_{l, i})

    It is an ordinary module: train it with `lamina.fit` or with a loop of your own, in batches of any size. What
    changes its shape (`adapt`, `refine`, `prune`) returns a new network.

    Args:
        sizes: numbers of inputs, of the units of each hidden layer, and of outputs.
        grid, degree, basis: of every layer, see `lamina.layers.KANLinear`. Default 5, 3 and "spline".
        limit: half the range of the grids at the start. Default 3.0, for standardised inputs.

    Attributes:
        layers: the `KANLinear` layers.

    Shape:
        ``(*, sizes[0])`` to ``(*, sizes[-1])``.

    Raises:
        LaminaError: fewer than two sizes, one of them below 1, or an argument that `KANLinear` refuses.

    Source:
        Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756; scores of nodes and edges: Liu et al. 2024,
        KAN 2.0: Kolmogorov-Arnold Networks Meet Science, arXiv:2408.10205.
    """

    def __init__(
        self, sizes: Sequence[int], *, grid: int = 5, degree: int = 3, limit: float = 3.0, basis: str = "spline"
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise LaminaError(f"sizes={tuple(sizes)}: sizes has to name at least inputs and outputs")
        for i, size in enumerate(sizes):
            whole(**{f"sizes[{i}]": size})
        options = {"grid": grid, "degree": degree, "limit": limit, "basis": basis}
        self.layers = nn.ModuleList(KANLinear(a, b, **options) for a, b in itertools.pairwise(sizes))

    @classmethod
    def of(cls, layers: Sequence[KANLinear]) -> KAN:
        """The network of these layers."""
        new = cls([layers[0].in_features, *(layer.out_features for layer in layers)])
        new.layers = nn.ModuleList(layers)
        return new.train(layers[0].training)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of inputs, of the units of each hidden layer, and of outputs."""
        return (self.layers[0].in_features, *(layer.out_features for layer in self.layers))  # pyright: ignore

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        for layer in self.layers:
            x = layer(x)
        return x

    def activations(self, x: Float[Tensor, "*batch inputs"]) -> list[Tensor]:
        """The inputs of every layer, and the output last."""
        found = [features(x, self.sizes[0])]
        for layer in self.layers:
            found.append(layer(found[-1]))
        return found

    def edges(self, x: Float[Tensor, "*batch inputs"]) -> list[Tensor]:
        """Of every layer, what each edge adds to its sum: ``(*, out_features, in_features)``."""
        pairs = zip(self.layers, self.activations(x), strict=False)
        return [torch.einsum("...ki,oki->...oi", layer.edges(h), layer.weight) for layer, h in pairs]  # pyright: ignore

    def adapt(self, x: Float[Tensor, "*batch inputs"]) -> KAN:
        """The same function on grids that reach over what each layer sees of the data `x`."""
        layers, h = [], x
        for layer in self.layers:
            layers.append(layer.adapt(h))  # pyright: ignore
            h = layers[-1](h).detach()
        return KAN.of(layers)

    def refine(self, grid: int) -> KAN:
        """The same function on finer grids, exactly where `grid` is a multiple of the present one."""
        return KAN.of([layer.refine(grid) for layer in self.layers])  # pyright: ignore

    def penalty(self, x: Float[Tensor, "*batch inputs"], *, entropy: float = 1.0) -> Tensor:
        r"""What to add to a loss so that few edges are left: their sizes, and how evenly these are shared.

        .. math:: \sum_l \Big( \sum_{oi} a_{loi} - \mathrm{entropy} \sum_{oi} p_{loi} \log p_{loi} \Big), \qquad
                  a_{loi} = \overline{|\varphi_{loi}|}, \quad p_{loi} = a_{loi} / \sum_{oi} a_{loi}

        Args:
            x: a batch.
            entropy: weight of the second part. Default 1.0, as in the paper.
        """
        total = x.new_zeros(())
        for edge in self.edges(x):
            size = edge.abs().flatten(0, -3).mean(0)
            share = size / size.sum().clamp_min(1e-12)
            total = total + size.sum() - entropy * (share * share.clamp_min(1e-12).log()).sum()
        return total

    @torch.no_grad()
    def scores(self, x: Float[Tensor, "*batch inputs"]) -> list[Tensor]:
        """Of every layer, the share ``(out_features, in_features)`` that each edge has in the outputs.

        An output counts 1, and hands its count to its edges in proportion to how much they vary over the data `x`; the
        count of a node is the sum over the edges that leave it.
        """
        node, found = x.new_ones(self.sizes[-1]), []
        for edge in reversed(self.edges(x)):
            varies = edge.flatten(0, -3).std(0, correction=0)
            found.append(node.unsqueeze(-1) * varies / varies.sum(-1, keepdim=True).clamp_min(1e-30))
            node = found[-1].sum(0)
        return found[::-1]

    @torch.no_grad()
    def prune(self, x: Float[Tensor, "*batch inputs"], *, threshold: float = 0.03) -> KAN:
        """A smaller network without the hidden nodes that the outputs hardly depend on.

        A node goes if its score is below the threshold; the mean of what it gave stays, so the outputs keep theirs.
        Every layer keeps its best node.

        Args:
            x: data that show what the nodes do.
            threshold: share of the outputs below which a node goes, from 0 to 1. Default 0.03.
        """
        within(0, 1, threshold=threshold)
        scores, means = self.scores(x), [e.flatten(0, -3).mean(0) for e in self.edges(x)]
        layers: list[KANLinear] = []
        kept = torch.arange(self.sizes[0], device=x.device)
        for i, layer in enumerate(self.layers):
            lost = means[i].sum(1) - means[i][:, kept].sum(1)
            stays = torch.arange(layer.out_features, device=x.device)  # pyright: ignore
            if i + 1 < len(self.layers):
                count = scores[i + 1].sum(0)
                stays = stays[(count >= threshold) | (count == count.max())]
            layers.append(layer.part(stays, kept, plus=lost[stays]))  # pyright: ignore
            kept = stays
        return KAN.of(layers)

    def plot(self, x: Float[Tensor, "*batch inputs"], *, names: Sequence[str] = ()) -> go.Figure:
        """A drawing of the network with the function of each edge, see `lamina.networks.kan.picture.draw`."""
        from lamina.networks.kan.picture import draw

        return draw(self, x, names=names)

    def symbolic(self, x: Tensor, y: Tensor, *, names: Sequence[str] = (), keep: float = 0.01) -> Formula:
        """A formula for what the network has learnt, see `lamina.networks.kan.formula.propose`."""
        from lamina.networks.kan.formula import propose

        return propose(self, x, y, names=names, keep=keep)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}"
