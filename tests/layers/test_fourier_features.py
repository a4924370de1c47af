import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from lamina.errors import LaminaError
from lamina.layers import FourierFeaturesLinear


def made(*sizes, seed=0, **options):
    torch.manual_seed(seed)
    return FourierFeaturesLinear(*sizes, **options).double()


def test_formula():
    layer = made(3, 5, frequencies=4, hidden=6)
    x = np.random.default_rng(0).normal(size=(7, 3))
    waves, w, b, out, c = (p.detach().numpy() for p in layer.parameters())
    r = np.concatenate([np.cos(x @ waves.T), np.sin(x @ waves.T)], axis=1) / math.sqrt(8)
    z = r @ w.T + b
    expected = (z * (1 + erf(z / math.sqrt(2))) / 2) @ out.T + c
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-12)


@given(st.integers(0, 2**31 - 1), st.floats(-10, 10))
def test_products_of_waves_know_the_difference_of_positions_alone(seed, shift):
    layer = made(2, 3, seed=seed)
    x = torch.randn(6, 2, dtype=torch.float64)
    here, there = layer.waves_at(x), layer.waves_at(x + shift)
    torch.testing.assert_close(here @ here.mT, there @ there.mT, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(here.square().sum(-1), torch.full((6,), 32.0, dtype=torch.float64))


def test_products_of_waves_are_a_gaussian_kernel():
    layer = made(3, 1, frequencies=200_000, scale=0.7)
    x = torch.randn(5, 3, dtype=torch.float64)
    waves = layer.waves_at(x)
    expected = (-torch.cdist(x, x).square() / (2 * 3 * 0.7**2)).exp()
    torch.testing.assert_close(waves @ waves.mT / 200_000, expected, rtol=0.0, atol=1e-2)


def test_groups_are_encoded_alike_and_apart():
    layer = made(6, 4, groups=2)
    x = torch.randn(5, 6, dtype=torch.float64)
    y = layer(x)
    torch.testing.assert_close(layer(x[:, [3, 4, 5, 0, 1, 2]]), y[:, [2, 3, 0, 1]])
    moved = x.clone()
    moved[:, 3:] += 1
    torch.testing.assert_close(layer(moved)[:, :2], y[:, :2])


@pytest.mark.parametrize(("sizes", "name"), [((5, 4), "in_features=5"), ((4, 5), "out_features=5")])
def test_groups_divide_the_sizes(sizes, name):
    with pytest.raises(LaminaError, match=f"groups=2.*{name}"):
        FourierFeaturesLinear(*sizes, groups=2)


def test_standard_inputs_give_a_variance_of_one():
    torch.manual_seed(0)
    y = FourierFeaturesLinear(50, 2_000, frequencies=500, hidden=500)(torch.randn(500, 50)).detach()
    assert math.isclose(y.square().mean().item(), 1.0, abs_tol=0.1)
