import numpy as np
import pytest
import torch

from lamina.errors import LaminaError
from lamina.layers.rbf import RBFLinear


def test_formula():
    layer = RBFLinear(3, 2, units=5, dtype=torch.float64).requires_grad_(False)
    x = np.random.default_rng(0).normal(size=(7, 3))
    layer.log_scale.copy_(torch.linspace(-2, 1, 5))
    away = ((x[:, None] - layer.centres.numpy()) ** 2).sum(-1)
    phi = np.exp(-np.exp(np.linspace(-2, 1, 5)) * away)
    expected = phi @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(torch.tensor(x)), expected, atol=1e-10)


def test_far_from_all_centres_the_output_is_the_bias():
    layer = RBFLinear(2, 3)
    torch.nn.init.normal_(layer.bias)
    torch.testing.assert_close(layer(torch.full((4, 2), 1e3)), layer.bias.expand(4, -1))


@pytest.mark.parametrize("size", [1, 8, 64])
def test_starts_with_a_mean_square_of_about_one(size):
    layer = RBFLinear(size, 400, units=400)
    x = torch.randn(2_000, size, generator=torch.Generator().manual_seed(0))
    assert 0.8 < layer(x).square().mean() < 1.25


def test_interpolates_with_a_centre_on_every_point():
    layer = RBFLinear(2, 1, units=20, dtype=torch.float64).requires_grad_(False)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = x.prod(1, keepdim=True)
    layer.centres.copy_(x)
    layer.log_scale.fill_(3.0)
    phi = torch.exp(-layer.log_scale.exp() * torch.cdist(x, x).square())
    layer.weight.copy_(torch.linalg.solve(phi, y).T)
    torch.testing.assert_close(layer(x), y)


def test_units_are_checked():
    assert RBFLinear(2, 3).units == 3
    with pytest.raises(LaminaError, match="units"):
        RBFLinear(2, 3, units=0)
