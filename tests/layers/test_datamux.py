import pytest
import torch
import torch.nn.functional as F

from lamina.errors import LaminaError
from lamina.layers import DataMUX


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_formula():
    layer = DataMUX(3, 2, tokens=4, hidden=5, size=6).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = draw(7, 4, 3)
    h = sum((layer.transforms[i] * x[:, i] for i in range(4)), torch.zeros(())) / 4
    for weight, bias in zip(layer.weights, layer.biases, strict=True):
        h = F.gelu(h @ weight.T + bias)
    for i, (weight, bias) in enumerate(zip(layer.head_weight.split(6), layer.head_bias.split(6), strict=True)):
        expected = layer.norm(F.gelu(h @ weight.T + bias)) @ layer.out_weight.T + layer.out_bias
        torch.testing.assert_close(layer(x)[:, i], expected)


def test_the_transforms_are_frozen_and_kept():
    layer = DataMUX(3, 2, tokens=4)
    assert "transforms" in layer.state_dict()
    assert "transforms" not in dict(layer.named_parameters())


def test_without_transforms_the_order_of_the_inputs_is_lost():
    layer, x = DataMUX(3, 2, tokens=4).double(), draw(5, 4, 3)
    assert not torch.allclose(layer(x), layer(x.flip(1)))
    layer.transforms.fill_(1.0)
    torch.testing.assert_close(layer(x), layer(x.flip(1)))


def test_operations_of_the_network_do_not_grow_with_the_inputs():
    def weights(tokens):
        layer = DataMUX(8, 2, tokens=tokens, hidden=32, size=4)
        return sum(w.numel() for w in layer.weights), layer.head_weight.numel()

    assert weights(1)[0] == weights(5)[0]
    assert weights(5)[1] == 5 * weights(1)[1]


def test_starts_with_unit_variance():
    found = []
    with torch.random.fork_rng():
        for seed in range(10):
            torch.manual_seed(seed)
            found.append(DataMUX(32, 32, tokens=4)(torch.randn(100, 4, 32)).var().item())
    assert sum(found) / len(found) == pytest.approx(1.0, abs=0.2)


def test_another_number_of_tokens_is_refused():
    with pytest.raises(LaminaError, match="tokens=6"):
        DataMUX(4, 4, tokens=6)(torch.zeros(2, 5, 4))
