import pytest
import torch

from lamina.layers import RandomAttention


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def padded(x):
    return torch.cat([x, torch.ones_like(x[..., :1])], -1)


def test_formula():
    layer = RandomAttention(3, 2, heads=5, mean=0.5).double()
    x, keys = draw(4, 3), draw(6, 3, seed=1)
    expected = torch.zeros(4, 2, dtype=torch.float64)
    for a, v in zip(layer.scores.split(4), layer.values.split(4, dim=1), strict=True):
        weights = (padded(x) @ a @ padded(keys).T).clamp_min(0) / 6
        expected += weights @ padded(keys) @ v.T
    torch.testing.assert_close(layer(x, keys), expected)
    torch.testing.assert_close(layer(x), layer(x, x))


def test_values_alone_are_trained_and_the_output_is_linear_in_them():
    layer = RandomAttention(3, 2, heads=4).double()
    assert [name for name, _ in layer.named_parameters()] == ["values"]
    assert "scores" in layer.state_dict()
    x = draw(2, 5, 3)
    torch.testing.assert_close(layer.averages(x, x) @ layer.values.T, layer(x))


def test_the_order_of_the_keys_does_not_matter():
    layer, x, keys = RandomAttention(3, 2).double(), draw(2, 4, 3), draw(2, 6, 3, seed=1)
    torch.testing.assert_close(layer(x, keys), layer(x, keys.flip(-2)))


def test_scores_have_unit_variance_around_the_inner_product():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain, biased = RandomAttention(15, 1, heads=400).double(), RandomAttention(15, 1, heads=400, mean=2.0).double()
    x, y = draw(200, 15), draw(200, 15, seed=1)
    for layer, mean in ((plain, 0.0), (biased, 2.0)):
        scores = torch.einsum("ni,hij,nj->nh", padded(x), layer.scores.unflatten(0, (400, -1)), padded(y))
        expected = mean * (x * y).sum(-1, keepdim=True) / 15**0.5
        assert (scores - expected).var().item() == pytest.approx(1.0, abs=0.1)
        assert (scores.mean(1) - expected[:, 0]).abs().max() < 0.3


def test_ridge_on_averages_finds_the_values():
    layer, x = RandomAttention(2, 1, heads=3).double(), draw(40, 3, 2)
    y, a = layer(x).flatten().detach(), layer.averages(x, x).flatten(0, 1)
    solved = torch.linalg.solve(a.T @ a + 1e-10 * torch.eye(9, dtype=torch.float64), a.T @ y)
    torch.testing.assert_close(solved, layer.values[0].detach(), atol=1e-4, rtol=1e-4)
