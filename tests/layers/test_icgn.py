import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import jacfwd, vmap

from lamina.errors import LaminaError
from lamina.layers.icgn import ICGNLinear


def steep(seed: int = 0, nodes: int = 0, scale: float = 3.0) -> ICGNLinear:
    """A layer of two inputs and nine units whose weights are large."""
    layer = ICGNLinear(2, 2, units=9, nodes=nodes, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return layer


def points(n: int = 1_000) -> torch.Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def line_integral(inner, x: torch.Tensor, nodes: int = 100) -> torch.Tensor:
    """The definition: the mean of J^T J x on the line from 0 to x."""
    places, shares = np.polynomial.legendre.leggauss(nodes)
    jacobians = vmap(jacfwd(inner))(torch.tensor((places + 1) / 2)[:, None] * x)
    return torch.einsum("n,nui,nuj,j->i", torch.tensor(shares / 2), jacobians, jacobians, x)


def asymmetry(field, x: torch.Tensor) -> float:
    jacobians = vmap(jacfwd(field))(x)
    return float((jacobians - jacobians.mT).abs().max())


def test_is_the_line_integral_of_its_inner_network():
    layer = steep(scale=1.0)
    for x in points(5):
        by_definition = line_integral(lambda x: 6**0.5 * (layer.inner_weight @ x + layer.inner_bias).sigmoid(), x)
        torch.testing.assert_close(layer.gradient(x), by_definition)
        torch.testing.assert_close(layer(x), by_definition + layer.bias)


def test_is_the_gradient_of_its_potential():
    layer, x = steep(), points(50).requires_grad_()
    u, b = x @ layer.inner_weight.T + layer.inner_bias, layer.inner_bias.sigmoid()
    potential = torch.nn.functional.softplus(u) - u.sigmoid() + u.sigmoid().square()  # its derivative is S(u)
    potential = potential - b.square() * (3 - 2 * b) * u
    torch.testing.assert_close(torch.autograd.grad(potential.sum(), x)[0], layer.gradient(x))


def test_jacobian_is_symmetric_and_positive_semidefinite():
    layer = steep().requires_grad_(False)
    jacobians = vmap(jacfwd(layer))(points())
    assert asymmetry(layer, points()) < 1e-12
    assert torch.linalg.eigvalsh(jacobians).min() > -1e-12


@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_by_quadrature_the_jacobian_is_symmetric_at_any_number_of_nodes(nodes):
    assert asymmetry(steep(nodes=nodes), points(100)) < 1e-11


def test_quadrature_tends_to_the_closed_form():
    exact, x = steep(scale=1.0)(points()), points()
    errors = [float((steep(nodes=n, scale=1.0)(x) - exact).abs().max()) for n in (4, 8, 16, 64)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10


def test_an_orthogonal_matrix_behind_the_inner_layer_changes_nothing_and_a_second_layer_is_not_admissible():
    layer, x = steep(scale=1.0), points(4)
    square, _ = torch.linalg.qr(torch.randn(9, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64))

    def first(x):
        return 6**0.5 * (layer.inner_weight @ x + layer.inner_bias).sigmoid()

    for row in x:
        torch.testing.assert_close(line_integral(lambda x: square @ first(x), row), layer.gradient(row))
    assert asymmetry(lambda x: line_integral(first, x, 40), x) < 1e-12
    assert asymmetry(lambda x: line_integral(lambda x: (square @ first(x)).tanh(), x, 40), x) > 1e-2


@settings(max_examples=25)
@given(st.integers(0, 1_000), st.floats(0.01, 10.0))
def test_is_a_monotone_map_that_is_zero_at_the_origin(seed, scale):
    layer, a, b = steep(seed, scale=scale), points(100), points(200)[100:]
    assert ((layer(a) - layer(b)) * (a - b)).sum(-1).min() > -1e-10
    assert layer.gradient(torch.zeros(2, dtype=torch.float64)).abs().max() < 1e-10


def test_is_followed_by_a_map_where_sizes_differ():
    layer, x = ICGNLinear(5, 3), torch.randn(4, 5)
    torch.testing.assert_close(layer(x), torch.nn.functional.linear(layer.gradient(x), layer.weight, layer.bias))
    assert ICGNLinear(5, 5).weight is None


def test_starts_with_about_unit_variance():
    x = torch.randn(4_000, 64, generator=torch.Generator().manual_seed(0))
    for out in (16, 64, 256):
        assert 0.6 < ICGNLinear(64, out)(x).var() < 1.6


def test_units_and_nodes_are_checked():
    for options in ({"units": 0}, {"nodes": -1}):
        with pytest.raises(LaminaError, match=next(iter(options))):
            ICGNLinear(2, 2, **options)
