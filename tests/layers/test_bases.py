import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from lamina.layers.bases import BASES

U = torch.linspace(0, 6, 61, dtype=torch.float64).unsqueeze(-1)
T = (U / 3 - 1).numpy()


def test_polynomials_are_those_of_scipy():
    chebyshev, legendre = BASES["chebyshev"](U, 6, 3), BASES["legendre"](U, 6, 3)
    for k in range(9):
        np.testing.assert_allclose(chebyshev[:, k], special.eval_chebyt(k, T), atol=1e-12)
        np.testing.assert_allclose(legendre[:, k], special.eval_legendre(k, T), atol=1e-12)


def test_rational_functions_are_chebyshev_polynomials_of_the_whole_line():
    far = torch.tensor([[-1e6], [0.0], [40.0]], dtype=torch.float64)
    t = (far / 3 - 1).numpy()
    found = BASES["rational"](far, 6, 3)
    for k in range(9):
        np.testing.assert_allclose(found[:, k], special.eval_chebyt(k, t / np.sqrt(1 + t**2)), atol=1e-9)


def test_fourier_functions_are_orthogonal_over_their_period():
    u = torch.linspace(-3, 9, 4001, dtype=torch.float64)[:-1].unsqueeze(-1)  # twice the grid
    waves = BASES["fourier"](u, 6, 3)[..., 0]
    np.testing.assert_allclose(waves.T @ waves / 4000, np.eye(9) / 2, atol=1e-9)


def test_local_functions_have_their_closed_forms():
    v = (U - torch.arange(9, dtype=torch.float64) + 1).unsqueeze(-1).numpy()
    np.testing.assert_allclose(BASES["radial"](U, 6, 3), np.exp(-(v**2)), atol=1e-12)
    np.testing.assert_allclose(BASES["wavelet"](U, 6, 3), (1 - v**2) * np.exp(-(v**2) / 2), atol=1e-12)
    np.testing.assert_allclose(BASES["relu"](U, 6, 3), np.maximum(1 - v**2 / 4, 0) ** 2, atol=1e-12)


@pytest.mark.parametrize("name", BASES)
@given(grid=st.integers(1, 9), degree=st.integers(1, 5), far=st.floats(-1e4, 1e4))
def test_every_basis_has_as_many_functions_and_stays_bounded(name, grid, degree, far):
    u = torch.tensor([[0.0, grid / 2, far]], dtype=torch.float64)
    found = BASES[name](u, grid, degree)
    assert found.shape == (1, grid + degree, 3)
    assert found.abs().max() <= 1 + 1e-9
