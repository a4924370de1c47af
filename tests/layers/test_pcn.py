import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import sawtooth
from scipy.spatial.distance import cdist

from lamina.layers import PCNLinear


def made(*sizes, seed=0, **options):
    torch.manual_seed(seed)
    return PCNLinear(*sizes, **options).double()


def test_formula():
    layer = made(7, 5, activation="tanh")
    torch.nn.init.normal_(layer.bias)
    x = np.random.default_rng(0).normal(size=(6, 7))
    p, q, b = (parameter.detach().numpy() for parameter in layer.parameters())
    weight = math.sqrt(6 / 7) * sawtooth(np.pi * cdist(q, p), width=0.5)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(layer.weight.detach(), weight, atol=1e-10)
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), np.tanh(x @ weight.T + b), atol=1e-10)


@given(st.integers(0, 2**31 - 1))
def test_rigid_motions_of_all_points_change_nothing(seed):
    layer, x = made(5, 4, seed=seed, dimensions=3), torch.randn(6, 5, dtype=torch.float64)
    before = layer(x)
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    shift = torch.randn(3, dtype=torch.float64)
    with torch.no_grad():
        for points in (layer.in_points, layer.out_points):
            points.copy_(points @ turn + shift)
    torch.testing.assert_close(layer(x), before, rtol=1e-9, atol=1e-9)


def test_points_that_coincide_have_a_finite_gradient():
    layer = made(30, 30)
    with torch.no_grad():
        layer.out_points.copy_(layer.in_points)
    layer(torch.ones(2, 30, dtype=torch.float64)).sum().backward()
    assert torch.isfinite(layer.in_points.grad).all()
    torch.testing.assert_close(
        layer.weight.diagonal(), torch.full((30,), -math.sqrt(6 / 30), dtype=torch.float64), atol=1e-4, rtol=0.0
    )


def test_has_the_parameters_of_its_units():
    assert sum(p.numel() for p in PCNLinear(784, 512, dimensions=16).parameters()) == (784 + 512) * 16 + 512


def test_weights_start_even_in_their_range_and_independent():
    weight = made(400, 300).weight.detach() * math.sqrt(400 / 6)
    assert math.isclose(weight.square().mean().item(), 1 / 3, abs_tol=0.01)
    products = torch.corrcoef(weight)
    assert (products - torch.eye(300)).square().mean().sqrt().item() < 1.5 / math.sqrt(400)
