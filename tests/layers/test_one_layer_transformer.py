import pytest
import torch

from lamina.errors import LaminaError
from lamina.layers import OneLayerTransformer


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_formula():
    layer = OneLayerTransformer(3, 2, tokens=5, heads=2, size=4, units=7).double()
    for bias in (layer.bias, layer.out_bias):
        torch.nn.init.normal_(bias)
    x = draw(6, 5, 3)
    h = x @ layer.embed.T + layer.places
    attention = torch.nn.MultiheadAttention(4, 2, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        attention.in_proj_weight.copy_(layer.attend)
        attention.out_proj.weight.copy_(layer.attended)
    z = h + attention(h, h, h)[0]
    expected = (z @ layer.weight.T + layer.bias).relu() @ layer.out_weight.T + layer.out_bias
    torch.testing.assert_close(layer(x), expected)


def test_places_alone_tell_the_order():
    layer, x = OneLayerTransformer(3, 2, tokens=5).double(), draw(4, 5, 3)
    assert not torch.allclose(layer(x.flip(1)), layer(x).flip(1))
    torch.nn.init.zeros_(layer.places)
    torch.testing.assert_close(layer(x.flip(1)), layer(x).flip(1))


def test_attention_alone_carries_from_token_to_token():
    layer, x = OneLayerTransformer(3, 2, tokens=5).double(), draw(4, 5, 3)
    other = x.clone()
    other[:, 1] += 1.0
    assert not torch.allclose(layer(x)[:, 0], layer(other)[:, 0])
    torch.nn.init.zeros_(layer.attended)
    torch.testing.assert_close(layer(x)[:, 0], layer(other)[:, 0])


def test_starts_with_unit_variance():
    found = []
    with torch.random.fork_rng():
        for seed in range(10):
            torch.manual_seed(seed)
            found.append(OneLayerTransformer(32, 32, tokens=8)(torch.randn(100, 8, 32)).square().mean().item())
    assert 0.8 < sum(found) / len(found) < 1.8


def test_another_number_of_tokens_is_refused():
    with pytest.raises(LaminaError, match="tokens=6"):
        OneLayerTransformer(4, 4, tokens=6)(torch.zeros(2, 5, 4))
