"""What a Kolmogorov-Arnold network has learnt, as a formula."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import least_squares
from torch import Tensor

from lamina.errors import LaminaError
from lamina.layers.arguments import features, within

if TYPE_CHECKING:
    import sympy

    from lamina.networks.kan.network import KAN

Array = np.ndarray
# Simple ones first: of functions that explain an edge equally well, the first is taken.
LIBRARY: dict[str, Callable[[Array], Array]] = {
    "x": lambda t: t,
    "x**2": np.square,
    "x**3": lambda t: t**3,
    "sin(x)": np.sin,
    "exp(x)": np.exp,
    "log(x)": np.log,
    "sqrt(x)": np.sqrt,
    "1/x": lambda t: 1 / t,
    "x**4": lambda t: t**4,
    "abs(x)": np.abs,
    "tanh(x)": np.tanh,
    "1/x**2": lambda t: t**-2.0,
    "exp(-x**2)": lambda t: np.exp(-(t**2)),
    "atan(x)": np.arctan,
    "1/sqrt(x)": lambda t: t**-0.5,
    "asin(x)": np.arcsin,
    "tan(x)": np.tan,
}
# Shares of an edge's variance below which what a function leaves unexplained counts as nothing, from strict to lenient.
_NOTHING = (1e-6, 1e-5, 1e-4, 1e-3)
_AS_GOOD = 1.5  # by what factor the error of a simpler formula may be larger


@dataclass(frozen=True)
class Formula:
    """A formula for a network.

    Attributes:
        expressions: one of sympy for each output; ``phi_l_o_i(...)`` stands for an edge that stayed a spline.
        names: of the inputs.
        rmse: its error on the rows it was given, with the numbers as they are printed.
        network_rmse: that of the network.
        splines: the edges that stayed splines, as ``(layer, output, input)``.
    """

    expressions: tuple[sympy.Expr, ...]
    names: tuple[str, ...]
    rmse: float
    network_rmse: float
    splines: dict[tuple[int, int, int], Callable[[Array], Array]]

    def predict(self, x: Array) -> Array:
        """The outputs ``(rows, outputs)`` of the printed formula for the rows `x`."""
        import sympy

        own = {_spline_name(edge): function for edge, function in self.splines.items()}
        columns = list(np.asarray(x, dtype=float).T)
        with np.errstate(all="ignore"):
            found = [
                sympy.lambdify(sympy.symbols(self.names), expression, modules=[own, "numpy"])(*columns)
                for expression in self.expressions
            ]
        return np.stack([np.broadcast_to(f, len(columns[0])) for f in found], axis=1)

    def latex(self) -> str:
        """The formula in LaTeX, a line for each output."""
        import sympy

        return "\n".join(sympy.latex(expression) for expression in self.expressions)

    def __str__(self) -> str:
        """The formula and its error beside that of the network."""
        lines = [str(expression) for expression in self.expressions]
        return "\n".join([*lines, f"RMSE {self.rmse:.3g}, that of the network {self.network_rmse:.3g}"])


@dataclass
class _Edge:
    """``c f(a t + b)``: one term of a sum; without a name the spline itself, and ``c`` its factor."""

    place: tuple[int, int, int]
    name: str
    function: Callable[[Array], Array]
    constants: list[float]

    def __call__(self, t: Array) -> Array:
        if not self.name:
            return self.constants[0] * self.function(t)
        a, b, c = self.constants
        return c * self.function(a * t + b)


@dataclass
class _Sum:
    """A node: a constant and its edges."""

    constant: float
    edges: list[_Edge]


def propose(network: KAN, x: Tensor, y: Tensor, *, names: Sequence[str] = (), keep: float = 0.01) -> Formula:
    r"""A formula that fits the network's functions, and then the data.

    Each edge gets :math:`c\,f(a t + b)` with the simplest :math:`f` of `LIBRARY` that explains it, found by a scan over
    :math:`a` and :math:`b` and least squares; edges that hardly vary are left out. Then all constants together are
    fitted to `y`, so that the formula need not be worse than the network where its form is right. That is done for
    several demands on the explanation; of the formulas, the simplest is taken whose error is near the smallest.

    Args:
        network: a trained network, best a pruned one.
        x, y: rows, and what the network was trained to give for them.
        names: of the inputs. Default: ``x_1``, ``x_2`` and so on.
        keep: share of an edge's variance that the best function may leave unexplained; beyond it the edge stays a
            spline. Default 0.01. 1 leaves no spline.

    Raises:
        LaminaError: `x` and `y` do not fit the network, there are as many names as inputs, or a name is no identifier.

    Source:
        Liu et al. 2024, KAN: Kolmogorov-Arnold Networks, arXiv:2404.19756, section 2.5.
    """
    within(0, 1, keep=keep)
    names = tuple(names) or tuple(f"x_{i + 1}" for i in range(network.sizes[0]))
    if len(names) != network.sizes[0] or not all(str(n).isidentifier() for n in names) or len(set(names)) < len(names):
        raise LaminaError(f"names={names}: there have to be {network.sizes[0]} different identifiers")
    rows, truth = features(x, network.sizes[0]).detach().double().cpu().numpy(), y.detach().double().cpu().numpy()
    if truth.ndim == 1:
        truth = truth[:, None]
    if rows.ndim != 2 or truth.shape != (len(rows), network.sizes[-1]):
        wanted = f"(rows, {network.sizes[0]}) and (rows, {network.sizes[-1]})"
        raise LaminaError(f"x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)}: they have to be {wanted}")
    network = copy.deepcopy(network).double().cpu().eval()
    with torch.no_grad():
        network_rmse = _rmse(network(torch.from_numpy(rows)).numpy(), truth)
    edges = _explain(network, torch.from_numpy(rows))
    found: list[tuple[int, Formula]] = []
    with np.errstate(all="ignore"):
        for nothing in _NOTHING:
            layers = _choose(network, edges, nothing, keep)
            _fit_together(layers, rows, truth)
            _drop_what_hardly_varies(layers, rows)
            _fit_together(layers, rows, truth)
            splines = {e.place: e.function for e in _edges(layers) if not e.name}
            formula = Formula(_expressions(layers, names), names, math.nan, network_rmse, splines)
            found.append((_complexity(layers), replace(formula, rmse=_rmse(formula.predict(rows), truth))))
    least = min((f.rmse for _, f in found if math.isfinite(f.rmse)), default=math.inf)
    good = [pair for pair in found if pair[1].rmse <= _AS_GOOD * least] or found
    return min(good, key=lambda pair: (pair[0], pair[1].rmse))[1]


def _rmse(found: Array, truth: Array) -> float:
    return float(np.sqrt(np.mean((found - truth) ** 2)))


@dataclass(frozen=True)
class _Explained:
    """An edge: where it is, how much it varies, its mean, and by function the share left unexplained and a, b, c, d."""

    place: tuple[int, int, int]
    spread: float
    mean: float
    fits: dict[str, tuple[float, float, float, float, float]]


def _explain(network: KAN, x: Tensor) -> list[_Explained]:
    """Every edge on its own."""
    with torch.no_grad():
        inputs, outputs = network.activations(x), network.edges(x)
    found = []
    for at, (h, edges) in enumerate(zip(inputs, outputs, strict=False)):
        for o, i in itertools.product(range(edges.shape[1]), range(edges.shape[2])):
            t, v = h[:, i].numpy(), edges[:, o, i].numpy()
            flat = v.std() < 1e-3 * edges[:, o].std(0).max().item()
            with np.errstate(all="ignore"):
                fits = {} if flat else {name: _fit(function, t, v) for name, function in LIBRARY.items()}
            found.append(_Explained((at, o, i), float(v.std()), float(v.mean()), fits))
    return found


def _choose(network: KAN, edges: list[_Explained], nothing: float, keep: float) -> list[list[_Sum]]:
    """For each edge the simplest function that explains it, or its spline."""
    layers = [[_Sum(0.0, []) for _ in range(size)] for size in network.sizes[1:]]
    for edge in edges:
        node = layers[edge.place[0]][edge.place[1]]
        if not edge.fits:
            node.constant += edge.mean
            continue
        least = min(fit[0] for fit in edge.fits.values())
        if least > keep:
            node.edges.append(_Edge(edge.place, "", _spline(network, *edge.place), [1.0]))
            continue
        name = next(name for name, fit in edge.fits.items() if fit[0] <= max(nothing, 3 * least))
        _, a, b, c, d = edge.fits[name]
        node.edges.append(_Edge(edge.place, name, LIBRARY[name], [a, b, c]))
        node.constant += d
    return layers


def _complexity(layers: list[list[_Sum]]) -> int:
    """The ranks of the functions in the library, splines last, and one for each edge."""
    rank = {name: i for i, name in enumerate(LIBRARY)} | {"": 2 * len(LIBRARY)}
    return sum(1 + rank[edge.name] for edge in _edges(layers))


def _drop_what_hardly_varies(layers: list[list[_Sum]], rows: Array) -> None:
    """Replace an edge by its mean where it varies a thousandth of the edge of its node that varies most."""
    h = rows
    for layer in layers:
        columns = []
        for node in layer:
            values = [edge(h[:, edge.place[2]]) for edge in node.edges]
            columns.append(node.constant + sum(values, np.zeros(len(rows))))
            most = max((v.std() for v in values), default=0.0)
            few = [v.std() < 1e-3 * most for v in values]
            node.constant += float(sum(v.mean() for v, drop in zip(values, few, strict=True) if drop))
            node.edges = [edge for edge, drop in zip(node.edges, few, strict=True) if not drop]
        h = np.stack(columns, 1)


def _spline(network: KAN, layer: int, output: int, input_: int) -> Callable[[Array], Array]:
    """The function of one edge."""
    one = network.layers[layer].part(torch.tensor([output]), torch.tensor([input_]))  # pyright: ignore
    return lambda t: one(torch.as_tensor(np.ascontiguousarray(t))[:, None]).detach().numpy()[:, 0]


def _fit(function: Callable[[Array], Array], t: Array, v: Array) -> tuple[float, float, float, float, float]:
    """The unexplained share of the variance of ``c f(a t + b) + d``, and a, b, c, d.

    For the :math:`a, b` of a grid, :math:`c, d` are a linear regression, all at once; the best is then polished.
    """
    centre, spread = t.mean(), t.std()
    a = np.concatenate([sign * np.geomspace(0.05, 12, 24) for sign in (1, -1)])[:, None, None] / spread
    b = np.linspace(-8, 8, 33)[None, :, None]
    every = max(1, len(t) // 100)
    some, values = t[::every], v[::every] - v[::every].mean()
    f = function(a * (some - centre) + b)
    bad = ~np.asarray(np.isfinite(f).all(-1))
    f = np.where(bad[..., None], 0.0, f)
    f = f - f.mean(-1, keepdims=True)
    size = np.asarray((f**2).sum(-1))
    share = np.where(bad | (size < 1e-12), 0.0, (f @ values) ** 2 / np.maximum(size, 1e-300))
    i, j = np.unravel_index(share.argmax(), share.shape)
    start = np.array([a[i, 0, 0], b[0, j, 0] - a[i, 0, 0] * centre])
    found = np.asarray(least_squares(lambda p: _residual(function, p, t, v), start, max_nfev=60).x)
    found = min((found, start), key=lambda p: float((_residual(function, p, t, v) ** 2).sum()))
    left = float((_residual(function, found, t, v) ** 2).sum() / ((v - v.mean()) ** 2).sum())
    return left, float(found[0]), float(found[1]), *_line(function(found[0] * t + found[1]), v)


def _line(f: Array, v: Array) -> tuple[float, float]:
    f0 = f - f.mean()
    c = float(f0 @ (v - v.mean()) / max(f0 @ f0, 1e-300))
    return c, float(v.mean() - c * f.mean())


def _residual(function: Callable[[Array], Array], ab: Array, t: Array, v: Array) -> Array:
    f = function(ab[0] * t + ab[1])
    if not np.isfinite(f).all():
        return np.full_like(v, 1e3 * v.std())
    c, d = _line(f, v)
    return v - c * f - d


def _edges(layers: list[list[_Sum]]) -> Iterator[_Edge]:
    return (edge for layer in layers for node in layer for edge in node.edges)


def _unshifted(edge: _Edge) -> list[float]:
    """The constants of an edge, those of an exponential without a shift, which its factor can be as well.

    Both together, one large and one tiny, would keep least squares from getting anywhere.
    """
    if edge.name == "exp(x)" and abs(edge.constants[1]) < 300:
        a, b, c = edge.constants
        return [a, 0.0, c * math.exp(b)]
    return edge.constants


def _evaluate(layers: list[list[_Sum]], rows: Array) -> Array:
    h = rows
    for layer in layers:
        sums = [sum((e(h[:, e.place[2]]) for e in node.edges), np.full(len(h), node.constant)) for node in layer]
        h = np.stack(sums, axis=1)
    return h


def _fit_together(layers: list[list[_Sum]], rows: Array, truth: Array) -> None:
    """All constants at once, by least squares on the data; kept only where that is better."""

    nodes = list(itertools.chain.from_iterable(layers))
    for edge in _edges(layers):
        edge.constants = _unshifted(edge)

    def read() -> Array:
        return np.array([c for node in nodes for c in (node.constant, *(c for e in node.edges for c in e.constants))])

    def write(values: Array) -> None:
        left = iter(values.tolist())
        for node in nodes:
            node.constant = next(left)
            for edge in node.edges:
                edge.constants = [next(left) for _ in edge.constants]

    def residual(values: Array) -> Array:
        write(values)
        return np.clip(np.nan_to_num(_evaluate(layers, rows) - truth, nan=1e6), -1e6, 1e6).ravel()

    start = read()
    found = least_squares(residual, start, max_nfev=100, x_scale="jac").x
    write(min((start, found), key=lambda p: float((residual(p) ** 2).sum())))


def _spline_name(edge: tuple[int, int, int]) -> str:
    return "phi_" + "_".join(str(i + 1) for i in edge)


def _expressions(layers: list[list[_Sum]], names: Sequence[str]) -> tuple[Any, ...]:
    """The formula of each output, its numbers rounded to what is printed."""
    import sympy

    def number(value: float, beside: float = 1.0) -> Any:
        return sympy.Float(value, 6) if abs(value) > 1e-9 * abs(beside) else sympy.Integer(0)

    h: list[Any] = list(sympy.symbols(names))
    for layer in layers:
        sums = []
        for node in layer:
            total = number(node.constant)
            for edge in node.edges:
                t = h[edge.place[2]]
                if not edge.name:
                    total += number(edge.constants[0]) * sympy.Function(_spline_name(edge.place))(t)
                    continue
                a, b, c = _unshifted(edge)
                inside = number(a, 0.0) * t + number(b, a)
                total += number(c, 0.0) * sympy.sympify(edge.name).subs(sympy.Symbol("x"), inside)
            sums.append(total)
        h = sums
    return tuple(h)
