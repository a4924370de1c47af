"""A linear layer that three index maps define: dense, convolutional, on a graph, with tied weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError
from lamina.layers.activations import activation as function
from lamina.layers.arguments import described, features, whole


@layer(
    domain="any",
    summary="linear layer from index maps: dense, convolutional, on a graph, tied",
    paper="Bergomi and Vertechi 2022, Neural network layers as parametric spans, arXiv:2208.00809",
)
class SpanLinear(nn.Module):
    r"""Parametric span: each edge :math:`e` multiplies one input with one weight and adds it to one output.

    .. math:: y_j = \sigma\Big(\sum_{e:\ t(e) = j} w_{p(e)}\, x_{s(e)} + b_j\Big)

    Source :math:`s`, target :math:`t` and parameter :math:`p` are the legs of the span. The derivatives are
    spans of the same edges with their legs permuted. The edges are gathered into one matrix, so that any of
    these layers costs what a dense one of its size does; activation and bias are not part of the paper.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        source: of each edge its input, a tuple of numbers from 0. Default None, as for `target` and `parameter`:
            every input has an edge to every output with a weight of its own, the dense layer.
        target: of each edge its output. Default None.
        parameter: of each edge its weight; there are as many weights as the largest number says. Default None.
        activation: :math:`\sigma`, a fixed one of `lamina.layers.activations`. Default "gelu", for the paper's layer
            alone has no nonlinearity.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, the maps are not of one length or not all given, a number in them is out
            of range, the activation is not known, or an input has another last dimension.

    Source:
        Bergomi and Vertechi 2022, Neural network layers as parametric spans, arXiv:2208.00809.
    """

    edge_place: Tensor
    edge_weight: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        source: tuple[int, ...] | None = None,
        target: tuple[int, ...] | None = None,
        parameter: tuple[int, ...] | None = None,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.source, self.target, self.parameter = source, target, parameter
        self.activation, self.function = activation, function(activation)
        self.edges = weights = in_features * out_features
        if not (source is target is parameter is None):
            s = _leg("source", source, in_features)
            t = _leg("target", target, out_features, len(s))
            p = _leg("parameter", parameter, None, len(s))
            self.edges, weights = len(s), max(p) + 1
            place = [j * in_features + i for i, j in zip(s, t, strict=True)]
            self.register_buffer("edge_place", torch.tensor(place, device=device), persistent=False)
            self.register_buffer("edge_weight", torch.tensor(p, device=device), persistent=False)
        self.weight = nn.Parameter(torch.empty(weights, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> SpanLinear:
        """The dense layer that computes what `linear` does, without activation."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, activation="identity", device=weight.device, dtype=weight.dtype
        )
        with torch.no_grad():
            new.weight.copy_(weight.flatten())
            if linear.bias is not None:
                new.bias.copy_(linear.bias)
        return new

    def reset_parameters(self) -> None:
        """Draw weights so that sums have unit variance, by the mean number of edges of an output; no biases."""
        nn.init.normal_(self.weight, std=math.sqrt(self.out_features / self.edges))
        nn.init.zeros_(self.bias)

    def matrix(self) -> Float[Tensor, "out_features in_features"]:
        """The matrix of the linear part: each entry the sum of the weights of its edges."""
        if self.source is None:
            return self.weight.unflatten(0, (self.out_features, self.in_features))
        empty = self.weight.new_zeros(self.out_features * self.in_features)
        full = empty.scatter_add(0, self.edge_place, self.weight.gather(0, self.edge_weight))
        return full.unflatten(0, (self.out_features, self.in_features))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        return self.function(F.linear(features(x, self.in_features), self.matrix(), self.bias))

    extra_repr = described


def _leg(name: str, leg: object, size: int | None, edges: int | None = None) -> tuple[int, ...]:
    """The leg, if it is a tuple of `edges` numbers from 0 and below `size`."""
    if not isinstance(leg, tuple) or not leg:
        raise LaminaError(f"{name}={leg!r}: {name} has to be a tuple of numbers, one for each edge")
    if edges is not None and len(leg) != edges:
        raise LaminaError(f"{name} has {len(leg)} edges, source has {edges}")
    for number in leg:
        whole(0, **{name: number})
        if size is not None and number >= size:
            raise LaminaError(f"{name} has the number {number}, it has to be below {size}")
    return leg
