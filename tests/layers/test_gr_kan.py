import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.layers.gr_kan import GRKANLinear


def drawn(in_features, out_features, **options):
    """A layer with random functions, in float64."""
    torch.manual_seed(0)
    layer = GRKANLinear(in_features, out_features, **options).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


def test_formula():
    layer, x = drawn(7, 4, groups=3), np.random.default_rng(0).normal(size=(6, 7))
    a, b, weight, bias = (p.detach().numpy() for p in layer.parameters())
    group = [0, 0, 0, 1, 1, 2, 2]
    above = sum(a[k, group] * x**k for k in range(6))
    below = 1 + np.abs(sum(b[k - 1] * x**k for k in range(1, 5)))
    expected = (above / below) @ weight.T + bias
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-12)


@pytest.mark.parametrize(("inputs", "kinds"), [(3, 3), (8, 8), (20, 8)])
def test_every_group_has_a_function(inputs, kinds):
    layer = drawn(inputs, 1)
    assert layer.numerator.shape == (6, kinds)
    values = layer.rational(torch.full((inputs,), 0.7, dtype=torch.float64))
    assert len({round(v, 9) for v in values.tolist()}) == kinds


def test_starts_as_silu():
    x = torch.linspace(-4, 4, 801, dtype=torch.float64).unsqueeze(1)
    found = GRKANLinear(1, 1).double().rational(x)
    torch.testing.assert_close(found, torch.nn.functional.silu(x), atol=2e-3, rtol=0)


def test_linear_maps_stay_linear_maps():
    linear, x = torch.nn.Linear(9, 5).double(), 3 * torch.randn(20, 9, dtype=torch.float64)
    layer = GRKANLinear.from_linear(linear)
    torch.testing.assert_close(layer(x), linear(x))
    layer(x).square().sum().backward()
    assert (layer.denominator.grad != 0).all()


@pytest.mark.parametrize("start", ["silu", "identity"])
def test_keeps_the_variance(start):
    torch.manual_seed(0)
    y = GRKANLinear(256, 256, start=start)(torch.randn(2_000, 256))
    assert y.var().item() == pytest.approx(1.0, abs=0.1)


@settings(max_examples=20, deadline=None)
@given(st.floats(-1e3, 1e3), st.integers(0, 1_000))
def test_has_no_poles(place, seed):
    torch.manual_seed(seed)
    layer = drawn(1, 1)
    numerator = torch.as_tensor([place], dtype=torch.float64)
    bound = sum(abs(a) * abs(place) ** k for k, a in enumerate(layer.numerator[:, 0].tolist()))
    assert abs(layer.rational(numerator).item()) <= bound * (1 + 1e-12)


def test_has_second_derivatives():
    layer = drawn(3, 2, groups=2)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer.rational, (x,))
