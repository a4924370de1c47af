import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.layers.rbf_branches import RBFBranches


def drawn(**options) -> RBFBranches:
    layer = RBFBranches(3, 2, units=4, dtype=torch.float64, **options).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.normal_(generator=generator)
    return layer


def inputs(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_formula(layer: RBFBranches, x: np.ndarray, t: int) -> np.ndarray:
    """One output, branch by branch; x is one sequence."""
    zeros = np.zeros((layer.window - 1, 3))
    past = np.concatenate([zeros, x])[t : t + layer.window].T.ravel()
    scores, values = [], []
    for b in range(layer.branches):
        seen = np.array([layer.branches == 1 or i % layer.branches != b for i in range(3)]).repeat(layer.window)
        away = np.sum((past - layer.centres[b].numpy())[:, seen] ** 2, axis=1)
        scale = np.exp(layer.log_scale.view(layer.branches, -1)[b].numpy())
        phi = 1 / np.sqrt(1 + scale * away)
        scores.append(layer.query.view(layer.branches, -1)[b].numpy() @ phi)
        values.append(layer.weight.view(2, layer.branches, -1)[:, b].numpy() @ phi)
    share = np.exp(scores) / np.exp(scores).sum()
    return share @ np.array(values) + layer.bias.numpy()


@pytest.mark.parametrize("branches", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2])
def test_formula(branches, window):
    layer, x = drawn(branches=branches, window=window), inputs(2, 5)
    expected = np.stack([[by_formula(layer, row.numpy(), t) for t in range(5)] for row in x])
    np.testing.assert_allclose(layer(x), expected, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 7))
def test_an_output_depends_on_the_window_alone(window, place):
    layer, x = drawn(window=window), inputs(8)
    other = x.clone()
    other[place] += 1
    changed = (layer(x) - layer(other)).abs().amax(-1) > 1e-9
    assert changed.nonzero().flatten().tolist() == list(range(place, min(place + window, 8)))


def test_each_branch_is_blind_to_its_feature():
    layer, x = drawn(window=1), inputs(1)
    for feature in range(3):
        other = x.clone()
        other[:, feature] += 1
        blind = (layer.basis(x) == layer.basis(other)).all(-1)[0]
        assert blind.tolist() == [b == feature for b in range(3)]


def test_attention_sums_to_one_and_starts_even():
    layer, x = RBFBranches(3, 2), torch.randn(5, 4, 3)
    torch.testing.assert_close(layer.attention(layer.basis(x)), torch.full((5, 4, 3), 1 / 3))
    layer = drawn()
    torch.testing.assert_close(layer.attention(layer.basis(inputs(6))).sum(-1), torch.ones(6, dtype=torch.float64))


def test_basis_is_one_at_its_centre():
    layer = drawn(branches=1, window=1)
    basis = layer.basis(layer.centres[0])
    torch.testing.assert_close(basis[:, 0].diagonal(), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("branches", [1, 3])
def test_starts_with_a_mean_square_of_about_one(branches):
    layer = RBFBranches(6, 200, branches=branches, units=64)
    y = layer(torch.randn(50, 10, 6, generator=torch.Generator().manual_seed(0)))
    assert 0.6 < y.square().mean() < 1.5
