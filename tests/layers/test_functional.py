import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.layers.functional import FunctionalConvolution, FunctionalDense, legendre


def grid(n: int) -> torch.Tensor:
    return torch.arange(n, dtype=torch.float64) / n


def curves(points: torch.Tensor) -> torch.Tensor:
    """Two smooth curves on a circle of length 1."""
    turn = 2 * math.pi * points
    return torch.stack([turn.sin() + 0.3 * (2 * turn).cos(), (turn.cos()).exp()], -1)


def convolution(**options) -> FunctionalConvolution:
    layer = FunctionalConvolution(2, 3, dtype=torch.float64, **options).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.normal_(generator=generator)
    return layer


def test_legendre_polynomials_are_those_of_numpy():
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)
    for k in range(5):
        expected = np.polynomial.legendre.Legendre.basis(k)(x.numpy()) * (2 * k + 1) ** 0.5
        np.testing.assert_allclose(legendre(x, 5)[:, k], expected, atol=1e-12)


@pytest.mark.parametrize("basis", [1, 2, 4])
def test_convolution_is_the_integral_of_its_kernel(basis):
    layer, n = convolution(basis=basis, support=0.6, activation="identity"), 400
    u = (grid(2_001) - 0.5) * 2_001 / 2_000
    kernels = torch.einsum("uk,oki->uoi", layer.kernels(u), layer.weight.unflatten(-1, (basis, 2)))
    for place in (0, 150):
        by_definition = torch.einsum("uoi,ui->o", kernels, curves(place / n - u)) / 2_000 + layer.bias
        torch.testing.assert_close(layer(curves(grid(n)))[place], by_definition, atol=1e-3, rtol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 12), st.floats(0.01, 1.0))
def test_shifted_curves_give_shifted_outputs(n, by, support):
    layer, x = convolution(support=support), torch.randn(n, 2, dtype=torch.float64)
    torch.testing.assert_close(layer(x.roll(by, 0)), layer(x).roll(by, 0))


def test_finer_samples_are_samples_of_the_same_output():
    layer = convolution()
    gaps = [float((layer(curves(grid(n))) - layer(curves(grid(2 * n)))[::2]).abs().max()) for n in (16, 32, 64, 128)]
    assert gaps[3] < gaps[2] < gaps[1] < gaps[0]
    assert gaps[3] < gaps[1] / 8  # second order


def test_kernels_end_at_zero_and_the_first_has_integral_one():
    layer, u = FunctionalConvolution(1, 1, support=0.5, dtype=torch.float64), grid(4_000) - 0.5
    kernels = layer.kernels(u)
    assert not kernels[u.abs() >= 0.25].any()
    assert float(kernels[:, 0].mean()) == pytest.approx(1, abs=1e-5)


def test_constant_curves_keep_unit_variance():
    layer = FunctionalConvolution(64, 64, activation="identity")
    x = torch.randn(200, 1, 64, generator=torch.Generator().manual_seed(0)).expand(-1, 50, -1)
    assert 0.9 < layer(x).var() < 1.6


def test_dense_layer_is_the_integral_of_its_kernel():
    layer, n = FunctionalDense(2, 3, basis=4, activation="tanh", dtype=torch.float64).requires_grad_(False), 300
    torch.nn.init.normal_(layer.bias)
    points = (grid(n) + 0.5 / n) * 2 - 1
    phi, c = legendre(points, 4), layer.weight.view(4, 3, 4, 2)
    kernel = torch.einsum("sk,koli,tl->soti", phi, c, phi)
    x = curves((points + 1) / 2)
    z = torch.einsum("soti,ti->so", kernel, x) / n + phi @ layer.bias.view(4, 3)
    torch.testing.assert_close(layer(x), z.tanh())


def test_dense_layer_converges_with_the_points():
    layer = FunctionalDense(2, 3, dtype=torch.float64)
    means = [layer(curves(grid(n) + 0.5 / n)).mean(0) for n in (50, 100, 3_200)]
    assert (means[1] - means[2]).abs().max() < (means[0] - means[2]).abs().max() / 3
    assert (means[1] - means[2]).abs().max() < 1e-3


def test_dense_layer_takes_batches_and_no_rows():
    layer, x = FunctionalDense(2, 3), torch.randn(4, 5, 6, 2)
    torch.testing.assert_close(layer(x)[1, 2], layer(x[1, 2]))
    assert layer(x[:0]).shape == (0, 5, 6, 3)


def test_arguments_are_checked():
    with pytest.raises(LaminaError, match="support"):
        FunctionalConvolution(1, 1, support=0.0)
    with pytest.raises(LaminaError, match="basis"):
        FunctionalDense(1, 1, basis=0)
