import numpy as np
import pytest
import sympy
import torch

from lamina.errors import LaminaError
from lamina.networks import KAN
from lamina.networks.kan.formula import LIBRARY, propose


def trained(x: torch.Tensor, y: torch.Tensor, *sizes: int, grid: int = 12) -> KAN:
    torch.manual_seed(0)
    network = KAN(sizes, grid=grid).double().adapt(x)
    optimiser = torch.optim.LBFGS(network.parameters(), max_iter=120, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        found = (network(x) - y).square().mean()
        found.backward()
        return found

    optimiser.step(loss)
    return network


def rows(*sizes: int) -> torch.Tensor:
    return torch.rand(*sizes, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def test_a_known_formula_is_found_and_is_better_than_the_network():
    x = rows(500, 2)
    y = torch.exp(torch.sin(np.pi * x[:, :1]) + x[:, 1:] ** 2)
    formula = trained(x, y, 2, 1, 1).symbolic(x, y, names=("u", "v"))
    assert formula.rmse < 1e-4
    assert formula.rmse < formula.network_rmse
    assert not formula.splines
    assert formula.expressions[0].free_symbols == {sympy.Symbol("u"), sympy.Symbol("v")}
    assert formula.expressions[0].has(sympy.exp)
    assert formula.expressions[0].has(sympy.sin)
    np.testing.assert_allclose(formula.predict(x.numpy()), y, atol=1e-3)
    assert r"\sin" in formula.latex()
    assert f"{formula.rmse:.3g}" in str(formula)


def test_the_error_is_that_of_the_printed_numbers():
    x = rows(300, 1)
    y = 3 * x**2 + 0.1 * torch.sin(9 * x)
    formula = trained(x, y, 1, 1).symbolic(x, y, keep=1.0)
    printed = sympy.lambdify(sympy.Symbol("x_1"), sympy.sympify(str(formula.expressions[0])), "numpy")
    error = printed(x.numpy()[:, 0]) - y.numpy()[:, 0]
    assert formula.rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-3)


def test_what_no_function_explains_stays_a_spline():
    x = rows(400, 1)
    y = torch.sin(4 * x) * torch.exp(x) + (x - 0.3).abs()
    network = trained(x, y, 1, 1, grid=30)
    formula = network.symbolic(x, y, keep=1e-6)
    assert list(formula.splines) == [(0, 0, 0)]
    assert "phi_1_1_1(x_1)" in str(formula.expressions[0])
    assert formula.rmse <= 1.05 * formula.network_rmse
    np.testing.assert_allclose(formula.predict(x.numpy()), network(x).detach(), atol=0.1)


def test_an_input_that_does_nothing_is_not_in_the_formula():
    x = rows(400, 2)
    y = torch.sin(2 * x[:, :1])
    network = trained(x, y, 2, 1)
    with torch.no_grad():
        network.layers[0].weight[..., 1] = 0.0
    assert network.symbolic(x, y).expressions[0].free_symbols == {sympy.Symbol("x_1")}


@pytest.mark.parametrize("name", LIBRARY)
def test_functions_of_the_library_are_those_that_are_printed(name):
    t = np.linspace(0.1, 0.9, 20)
    np.testing.assert_allclose(sympy.lambdify(sympy.Symbol("x"), sympy.sympify(name), "numpy")(t), LIBRARY[name](t))


def test_wrong_input_is_refused():
    network, x = KAN([2, 1]).double(), rows(20, 2)
    with pytest.raises(LaminaError, match="2 different identifiers"):
        propose(network, x, x[:, :1], names=("a", "a"))
    with pytest.raises(LaminaError, match=r"\(rows, 2\) and \(rows, 1\)"):
        propose(network, x, rows(19, 1))
    with pytest.raises(LaminaError, match="keep=2"):
        propose(network, x, x[:, :1], keep=2)
