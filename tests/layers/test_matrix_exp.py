import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from torch import nn

from lamina.layers.matrix_exp import MatrixExpLinear, solve_two_pairs, three_layers


def matrices(seed, *shape):
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def test_formula():
    torch.manual_seed(0)
    layer = MatrixExpLinear(5, 7, size=3).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(6, 5, dtype=torch.float64)
    for row, y in zip(x, layer(x), strict=True):
        matrix = (layer.weight @ row + layer.bias).view(3, 3).detach()
        entries = torch.from_numpy(expm(matrix.numpy())).flatten()
        assert torch.allclose(y, layer.out_weight @ entries + layer.out_bias, rtol=1e-9)


def test_antisymmetric_matrices_give_sines_and_cosines():
    layer = MatrixExpLinear(1, 4, size=2).double()
    layer.weight.data.copy_(torch.tensor([[0.0], [-1.0], [1.0], [0.0]]))
    layer.out_weight.data.copy_(torch.eye(4))
    t = torch.linspace(-9, 9, 50, dtype=torch.float64)
    expected = torch.stack([t.cos(), -t.sin(), t.sin(), t.cos()], dim=1)
    assert torch.allclose(layer(t[:, None]), expected, atol=1e-12)


def test_triangular_matrices_give_products():
    layer = MatrixExpLinear(2, 1, size=3).double()
    layer.weight.data.zero_()
    layer.weight.data[1, 0] = layer.weight.data[5, 1] = 1  # above the diagonal
    layer.out_weight.data.copy_(2 * torch.eye(9)[2:3])
    x = torch.randn(20, 2, dtype=torch.float64)
    assert torch.allclose(layer(x)[:, 0], x[:, 0] * x[:, 1], atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100_000), size=st.integers(1, 5))
def test_closed_form_solves_both_equations(seed, size):
    x, y = matrices(seed, 2, 2, size, size)
    found = three_layers(solve_two_pairs(x, y), x)
    assert torch.linalg.matrix_norm(found - y).max() < 1e-8 * torch.linalg.matrix_norm(y).max()


@pytest.mark.parametrize("entry", [-1.0, -math.pi, 2j, -1e-3])
def test_closed_form_on_the_cut_of_the_logarithm(entry):
    x = matrices(0, 2, 3, 3)
    y = torch.stack([torch.diag(torch.tensor([entry, 1.0, 2.0])).to(x), torch.eye(3).to(x)])
    assert torch.allclose(three_layers(solve_two_pairs(x, y), x), y, atol=1e-10)


def test_no_solution_where_a_matrix_has_no_inverse():
    x, y = matrices(0, 2, 2, 3, 3)
    with pytest.raises(RuntimeError, match="singular"):
        solve_two_pairs(x, torch.stack([y[0], torch.zeros_like(y[0])]))
    with pytest.raises(RuntimeError, match="singular"):
        solve_two_pairs(torch.stack([x[0], x[0]]), y)


def test_derivatives_of_the_complex_network():
    weights = (0.3 * matrices(1, 3, 2, 2)).requires_grad_()
    x = matrices(2, 2, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(three_layers, (weights, x))


def test_outputs_start_with_about_unit_variance():
    torch.manual_seed(0)
    y = MatrixExpLinear(64, 256)(torch.randn(4_000, 64))
    assert 0.6 < y.var().item() < 1.6
