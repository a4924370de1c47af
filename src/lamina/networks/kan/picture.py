"""A Kolmogorov-Arnold network as a picture: its nodes, and on every edge the function it has learnt."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lamina.errors import LaminaError

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from lamina.networks.kan.network import KAN

_INK, _POINTS = "#1f3a5f", 60


def draw(network: KAN, x: Tensor, *, names: Sequence[str] = ()) -> go.Figure:
    """Inputs below, outputs above; an edge is as dark as its share in the outputs, its function stands in its middle.

    A function is drawn over what its input takes on in `x`, each in a box of its own scale; the scores are in the text
    that appears under the pointer.

    Args:
        network: any `KAN`; one with more than some dozens of edges is hard to read.
        x: rows that show where the functions are used.
        names: of the inputs. Default: ``x_1``, ``x_2`` and so on.

    Raises:
        LaminaError: there are not as many names as inputs.
    """
    import plotly.graph_objects as go

    sizes = network.sizes
    names = tuple(names) or tuple(f"x_{i + 1}" for i in range(sizes[0]))
    if len(names) != sizes[0]:
        raise LaminaError(f"names={names}: there have to be {sizes[0]}, one for each input")
    with torch.no_grad():
        inputs, scores = network.activations(x), network.scores(x)
    figure = go.Figure()
    widest = max(a * b for a, b in itertools.pairwise(sizes))
    for at, layer in enumerate(network.layers):
        h, score = inputs[at].flatten(0, -2), scores[at].cpu().numpy()
        places = torch.stack([torch.linspace(float(c.min()), float(c.max()), _POINTS) for c in h.T], dim=1).to(h)
        with torch.no_grad():
            curves = torch.einsum("pki,oki->poi", layer.edges(places), layer.weight).cpu().numpy()  # pyright: ignore
        for i in range(sizes[at]):
            for o in range(sizes[at + 1]):
                _edge(figure, at, i, o, sizes, curves[:, o, i], float(score[o, i]), widest)
    for at, size in enumerate(sizes):
        last = at == len(sizes) - 1
        labels = list(names) if at == 0 else [f"y_{i + 1}" if last else "+" for i in range(size)]
        figure.add_scatter(
            x=[_across(i, size) for i in range(size)], y=[2.0 * at] * size, mode="markers+text", text=labels,
            textposition="top center" if last else "bottom center" if at == 0 else "middle right",
            marker={"size": 10, "color": _INK}, hoverinfo="skip",
        )  # fmt: skip
    figure.update_layout(
        showlegend=False, template="plotly_white", width=max(480, 70 * widest), height=260 * (len(sizes) - 1) + 120,
        margin={"l": 20, "r": 20, "t": 30, "b": 30}, xaxis={"visible": False, "range": [-0.03, 1.03]},
        yaxis={"visible": False, "range": [-0.4, 2 * (len(sizes) - 1) + 0.4]},
    )  # fmt: skip
    return figure


def _across(i: int, size: int) -> float:
    return (i + 0.5) / size


def _edge(
    figure: go.Figure, at: int, i: int, o: int, sizes: Sequence[int], curve: np.ndarray, score: float, widest: int
) -> None:
    """A line from node to box, the function in the box, a line from box to node."""
    count = sizes[at] * sizes[at + 1]
    middle, y, half = _across(i * sizes[at + 1] + o, count), 2.0 * at + 1, 0.38 / widest
    opacity = float(np.clip(0.12 + 2 * score, 0.12, 1))
    line = {"color": _INK, "width": 1.5}
    ends = ((_across(i, sizes[at]), 2.0 * at, y - 0.3), (_across(o, sizes[at + 1]), 2.0 * at + 2, y + 0.3))
    for x, node, box in ends:
        figure.add_scatter(x=[x, middle], y=[node, box], mode="lines", line=line, opacity=opacity, hoverinfo="skip")
    spread = np.ptp(curve) or 1.0
    figure.add_scatter(
        x=middle + half * np.linspace(-1, 1, len(curve)),
        y=y + 0.5 * (curve - (curve.max() + curve.min()) / 2) / spread,
        mode="lines", line={"color": _INK, "width": 2.5}, opacity=opacity, hoverinfo="text",
        text=f"layer {at + 1}, input {i + 1}, output {o + 1}: {score:.1%} of the outputs",
    )  # fmt: skip
    corners = {"x0": middle - 1.15 * half, "x1": middle + 1.15 * half, "y0": y - 0.3, "y1": y + 0.3}
    figure.add_shape(type="rect", **corners, line={"color": _INK, "width": 1}, opacity=opacity)
