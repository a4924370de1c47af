import math

import pytest
import torch

from lamina.errors import LaminaError
from lamina.layers import FourierKArAt


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_formula():
    layer = FourierKArAt(3, 4, tokens=5, heads=2, rank=3, grid=2).double()
    for bias in (layer.bias, layer.out_bias):
        torch.nn.init.normal_(bias)
    x = draw(5, 3)
    q, k, v = (x @ layer.weight.T + layer.bias).chunk(3, -1)
    rows = []
    for h in range(2):
        part = slice(2 * h, 2 * h + 2)
        scores = q[:, part] @ k[:, part].T / math.sqrt(2)
        cosines, sines = layer.functions[h].unflatten(-1, (2, 2, 5)).unbind(1)  # (rank, frequency, token)
        weights = torch.zeros(5, 5, dtype=torch.float64)
        for p in range(3):
            f = torch.zeros(5, dtype=torch.float64)
            for m in (1, 2):
                f = f + (cosines[p, m - 1] * (m * scores).cos() + sines[p, m - 1] * (m * scores).sin()).sum(-1)
            weights = weights + torch.outer(f, layer.back[h, p])
        rows.append(weights @ v[:, part])
    expected = torch.cat(rows, -1) @ layer.out_weight.T + layer.out_bias
    torch.testing.assert_close(layer(x), expected)


def test_functions_alone_make_the_weights_of_the_values():
    layer = FourierKArAt(4, 4, tokens=6).double()
    torch.nn.init.zeros_(layer.functions)
    torch.testing.assert_close(layer(draw(2, 6, 4)), torch.zeros(2, 6, 4, dtype=torch.float64))


def test_scores_of_a_period_more_change_nothing():
    layer = FourierKArAt(1, 1, tokens=2, grid=4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0], [1.0], [1.0]]))
        layer.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    x = draw(2, 1)
    expected = layer(x)
    with torch.no_grad():
        layer.bias[1] += 2 * math.pi
    torch.testing.assert_close(layer(x), expected)


def test_starts_with_unit_variance():
    found = []
    with torch.random.fork_rng():
        for seed in range(40):
            torch.manual_seed(seed)
            found.append(FourierKArAt(32, 32, tokens=16, heads=2)(torch.randn(20, 16, 32)).var().item())
    assert sum(found) / len(found) == pytest.approx(1.0, abs=0.25)


def test_another_number_of_tokens_is_refused():
    with pytest.raises(LaminaError, match="tokens=6"):
        FourierKArAt(4, 4, tokens=6)(torch.zeros(2, 5, 4))
