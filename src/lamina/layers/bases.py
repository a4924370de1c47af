"""Bases of functions of one variable, for layers whose edges are functions.

A basis takes places ``u`` on a grid, 0 at its beginning and `grid` at its end, ``(*, features)``, and returns its
``grid + degree`` functions there, ``(*, grid + degree, features)``: as many whatever the basis, so that layers with
different bases have the same number of parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lamina.kernels.bumps import bumps
from lamina.kernels.chebyshev import chebyshev

Basis = Callable[[Tensor, int, int], Tensor]


def _spline(u: Tensor, grid: int, degree: int) -> Tensor:
    """B-splines; beyond the grid they keep their values at its border."""
    return bumps(u, "spline", grid, degree)


def _radial(u: Tensor, grid: int, degree: int) -> Tensor:
    r"""Gaussians ``exp(-v^2)`` of the distance to their centres in intervals (Li 2024, arXiv:2405.06721)."""
    return bumps(u, "radial", grid, degree)


def _wavelet(u: Tensor, grid: int, degree: int) -> Tensor:
    r"""Mexican hats ``(1 - v^2) exp(-v^2 / 2)`` (Bozorgasl and Chen 2024, arXiv:2405.12832)."""
    return bumps(u, "wavelet", grid, degree)


def _relu(u: Tensor, grid: int, degree: int) -> Tensor:
    r"""Squares of products of two ReLUs, ``max(1 - (v / h)^2, 0)^2``, ``h`` half the support of a B-spline.

    Qiu et al. 2024, arXiv:2406.02075.
    """
    return bumps(u, "relu", grid, degree)


def _chebyshev(u: Tensor, grid: int, degree: int) -> Tensor:
    """Chebyshev polynomials ``T_0, T_1, ...`` on the grid, constant beyond (SS et al. 2024, arXiv:2405.07200)."""
    return chebyshev(_symmetric(u, grid).clamp(-1, 1), grid + degree)


def _legendre(u: Tensor, grid: int, degree: int) -> Tensor:
    """Legendre polynomials ``P_0, P_1, ...`` on the grid, constant beyond."""
    t = _symmetric(u, grid).clamp(-1, 1)
    found = [torch.ones_like(t), t]
    for k in range(1, grid + degree - 1):
        found.append(((2 * k + 1) * t * found[-1] - k * found[-2]) / (k + 1))
    return torch.stack(found[: grid + degree], dim=-2)


def _rational(u: Tensor, grid: int, degree: int) -> Tensor:
    r"""Rational Chebyshev functions ``T_k(t / sqrt(1 + t^2))``, which live on the whole line (Boyd 1987)."""
    t = _symmetric(u, grid)
    return chebyshev(t * (1 + t.square()).rsqrt(), grid + degree)


def _fourier(u: Tensor, grid: int, degree: int) -> Tensor:
    """Cosines and sines whose longest period is twice the grid (Xu et al. 2024, arXiv:2406.01034)."""
    waves = torch.arange(1, (grid + degree + 1) // 2 + 1, device=u.device, dtype=u.dtype).unsqueeze(-1)
    angle = _symmetric(u, grid).unsqueeze(-2) * (waves * (math.pi / 2))
    return torch.cat([angle.cos(), angle.sin()], dim=-2)[..., : grid + degree, :]


BASES: dict[str, Basis] = {
    "spline": _spline,
    "chebyshev": _chebyshev,
    "legendre": _legendre,
    "fourier": _fourier,
    "radial": _radial,
    "rational": _rational,
    "wavelet": _wavelet,
    "relu": _relu,
}


def _symmetric(u: Tensor, grid: int) -> Tensor:
    """The grid as [-1, 1]."""
    return u * (2 / grid) - 1
