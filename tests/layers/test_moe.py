import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lamina.layers import MoELinear


@pytest.mark.parametrize("training", [False, True])
def test_weights_are_positive_and_sum_to_one(training):
    gate = MoELinear(4, 3, experts=5).double().train(training).gate(torch.randn(50, 4, dtype=torch.float64))
    assert (gate > 0).all()
    torch.testing.assert_close(gate.sum(-1), torch.ones(50, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("draws", "tolerance"), [(16, 0.05), (4096, 0.01)])
def test_evaluation_is_the_mean_of_training(draws, tolerance):
    torch.manual_seed(0)
    layer = MoELinear(4, 3, draws=draws)
    x = torch.randn(20, 4)
    mean = layer.train().gate(x.expand(20_000, 20, 4)).mean(0)
    assert (layer.eval().gate(x) - mean).abs().max() < tolerance


def test_draws_favour_no_expert():
    noise = MoELinear(2, 2, experts=3, draws=10).noise
    assert noise.shape == (10, 3)
    torch.testing.assert_close(noise.sort(0).values, noise[:, :1].sort(0).values.expand(10, 3))


def test_output_is_the_weighted_sum_of_the_experts():
    layer = MoELinear(4, 3, experts=2).double().eval()
    x = torch.randn(6, 4, dtype=torch.float64)
    experts = [F.gelu(x @ w.T + b) for w, b in zip(layer.weight.chunk(2), layer.bias.chunk(2), strict=True)]
    gate = layer.gate(x)
    expected = gate[:, :1] * experts[0] + gate[:, 1:] * experts[1]
    torch.testing.assert_close(layer(x), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_from_linear_computes_the_same(training, bias):
    linear = nn.Linear(4, 3, bias=bias, dtype=torch.float64)
    x = torch.randn(5, 4, dtype=torch.float64)
    layer = MoELinear.from_linear(linear, experts=3).train(training)
    torch.testing.assert_close(layer(x), linear(x), atol=1e-12, rtol=0)
