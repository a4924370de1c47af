"""Scaling of numbers: every kind is a piecewise linear curve, constant outside its knots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.stats import norm

CLIP = 3.0
"""Quantile scaling ends here: one row of a normal distribution in 370 is further from its centre."""
CLIP_STANDARD = 5.0
"""Standard scaling ends at so many standard deviations, so that one outlier does not rule a batch."""
STEPS = 256
"""The ranks are kept at so many places, which puts no value more than 1/255 off its rank."""


@dataclass(frozen=True)
class Curve:
    """A piecewise linear function.

    Attributes:
        knots: (n,) strictly increasing, finite.
        heights: (n,) the values there; the first and the last go on outside.
    """

    knots: np.ndarray
    heights: np.ndarray

    def __post_init__(self) -> None:
        """Refuse what is no curve: it may have been read from a damaged file."""
        finite = bool(np.isfinite(self.knots).all() and np.isfinite(self.heights).all())
        if len(self.knots) != len(self.heights) or not len(self.knots) or not finite:
            raise ValueError("a curve needs as many finite heights as knots")
        if (np.diff(self.knots) <= 0).any():
            raise ValueError("the knots of a curve have to increase")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The curve at `x`, which is finite; so is the result."""
        y = np.interp(x, self.knots, self.heights)
        return np.clip(y, self.heights.min(), self.heights.max())

    @classmethod
    def identity(cls, x: np.ndarray) -> Curve:
        """Values between 0 and 1 as they are."""
        return cls(np.array([0.0, 1.0]), np.array([0.0, 1.0]))

    @classmethod
    def quantile(cls, x: np.ndarray) -> Curve:
        r"""To a normal distribution: :math:`z(v) = \Phi^{-1}(P(X < v) + P(X = v) / 2)`, clipped at `CLIP`.

        The middle rank of tied values keeps columns with few distinct values in order and in proportion; a
        value far out is as far as its rank says. Between knots the curve is linear.

        Args:
            x: (rows,) the training part, without missing values.
        """
        values, counts = np.unique(x, return_counts=True)
        if len(values) < 2:
            return cls._constant(values)
        rank = (np.cumsum(counts) - counts / 2) / counts.sum()
        if len(values) > 2 * STEPS:
            after = np.searchsorted(rank, np.linspace(rank[0], rank[-1], STEPS))
            # The values on both sides of each step: a value with many ties does not pull on its neighbours.
            kept = np.unique(np.concatenate([after, np.maximum(after - 1, 0)]))
            values, rank = values[kept], rank[kept]
        return cls(values, np.clip(norm.ppf(rank), -CLIP, CLIP))

    @classmethod
    def standard(cls, x: np.ndarray) -> Curve:
        """To mean 0 and standard deviation 1, clipped at `CLIP_STANDARD`.

        Args:
            x: (rows,) the training part, without missing values.
        """
        mean, sd = (float(np.mean(x)), float(np.std(x))) if len(x) else (0.0, 0.0)
        reach = CLIP_STANDARD * np.array([-sd, sd])
        knots = mean + reach
        if not knots[0] < knots[1]:
            return cls._constant(x)
        return cls(knots, np.array([-CLIP_STANDARD, CLIP_STANDARD]))

    @classmethod
    def ramps(cls, x: np.ndarray, n: int) -> list[Curve]:
        r"""One ramp between each two neighbours of :math:`n + 1` quantiles: 0 below, 1 above, linear between.

        A linear map of the ramps is any piecewise linear function with these knots, so that a network need not
        learn to bend. Ties leave fewer ramps; a column with fewer than three distinct quantiles has none.

        Args:
            x: (rows,) the training part, without missing values.
            n: the number of ramps.

        Source: Gorishniy, Rubachev and Babenko 2022, On Embeddings for Numerical Features in Tabular Deep Learning,
        arXiv:2203.05556 (there: piecewise linear encoding).
        """
        if not len(x):
            return []
        knots = np.unique(np.quantile(x, np.linspace(0, 1, n + 1), method="inverted_cdf"))
        heights = np.array([0.0, 1.0])
        return [cls(pair, heights) for pair in np.stack([knots[:-1], knots[1:]], 1)] if len(knots) > 2 else []

    @classmethod
    def _constant(cls, values: np.ndarray) -> Curve:
        return cls(np.asarray(values[:1] if len(values) else [0.0], dtype=np.float64), np.zeros(1))


SCALINGS: Mapping[str, Callable[[np.ndarray], Curve]] = MappingProxyType(
    {"quantile": Curve.quantile, "standard": Curve.standard}
)
