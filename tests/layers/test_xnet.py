import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina.layers import XNetLinear


def drawn(in_features, out_features, seed=0):
    torch.manual_seed(seed)
    layer = XNetLinear(in_features, out_features).double()
    for p in layer.parameters():
        torch.nn.init.normal_(p)
    return layer


def test_formula():
    layer = drawn(5, 8)
    x = np.random.default_rng(0).normal(size=(6, 5))
    w, b, odd, even, d = (p.detach().numpy() for p in layer.parameters())
    z = x @ w.T + b
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), (odd * z + even) / (z**2 + d**2), rtol=1e-10)


@given(st.integers(0, 2**31 - 1))
def test_a_unit_is_the_real_part_of_a_term_of_cauchys_integral(seed):
    """With the pole at i d, (odd z + even) / (z^2 + d^2) is the real part of (odd - i even / d) / (z - i d)."""
    layer, x = drawn(3, 4, seed), torch.randn(5, 3, dtype=torch.float64)
    z = torch.nn.functional.linear(x, layer.weight, layer.bias)
    term = torch.complex(layer.odd, -layer.even / layer.width) / torch.complex(z, -layer.width.expand_as(z))
    torch.testing.assert_close(layer(x), term.real, rtol=1e-8, atol=1e-10)


def test_the_sign_of_the_width_does_not_matter():
    layer, x = drawn(3, 4), torch.randn(5, 3, dtype=torch.float64)
    before = layer(x)
    with torch.no_grad():
        layer.width.neg_()
    torch.testing.assert_close(layer(x), before)


def test_decays_as_the_odd_part_far_away():
    layer = drawn(1, 6)
    x = torch.full((1, 1), 1e9, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0] * 1e9, layer.odd / layer.weight[:, 0], rtol=1e-5, atol=0.0)


def test_standard_inputs_give_a_mean_square_of_one():
    torch.manual_seed(0)
    y = XNetLinear(50, 4_000)(torch.randn(1_000, 50))
    assert math.isclose(y.detach().square().mean().item(), 1.0, abs_tol=0.05)
