import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lamina.errors import LaminaError
from lamina.layers.sparse_moe import SparseMoELinear


def made(seed=0, **options):
    torch.manual_seed(seed)
    layer = SparseMoELinear(5, 3, **options).double()
    nn.init.normal_(layer.bias)
    return layer, torch.randn(40, 5, dtype=torch.float64)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), experts=st.integers(1, 5), data=st.data())
def test_each_row_is_the_sum_of_its_best_experts(seed, experts, data):
    active = data.draw(st.integers(1, experts))
    layer, x = made(seed, experts=experts, active=active, activation="tanh")
    y = layer.eval()(x)
    weights, biases = layer.weight.view(experts, 3, 5), layer.bias.view(experts, 3)
    for row, output in zip(x, y, strict=True):
        scores = layer.gate.weight @ row
        chances = scores.softmax(0)
        best = scores.argsort(descending=True)[:active]
        expected = torch.stack([chances[e] * (weights[e] @ row + biases[e]).tanh() for e in best]).sum(0)
        assert torch.allclose(output, expected, atol=1e-12)


def test_noise_sends_rows_elsewhere_in_training_only():
    layer, x = made(noise=1.0)
    scores = F.linear(x, layer.gate.weight)
    kept = layer.train().gate(x) > 0
    assert (kept.sum(1) == 1).all()
    away = scores.max(1).values - scores[kept]
    assert 0 < away.max() <= 1
    assert torch.equal(layer.eval().gate(x) > 0, scores == scores.max(1, keepdim=True).values)


def test_equal_scores_are_shared_out_by_the_noise():
    layer, x = made(experts=4)
    nn.init.zeros_(layer.gate.weight)
    counts = (layer.train().gate(x.repeat(100, 1)) > 0).sum(0)
    assert (counts - 1_000).abs().max() < 150


def test_router_has_a_gradient_and_experts_that_are_not_used_have_none():
    layer, x = made()
    layer.eval()
    chosen = int(layer.gate(x[:1]).argmax())
    by_router, by_experts = torch.autograd.grad(layer(x[:1]).sum(), (layer.gate.weight, layer.weight))
    assert by_router.abs().max() > 0
    used = by_experts.view(4, -1).abs().sum(1) > 0
    assert used.tolist() == [e == chosen for e in range(4)]


@pytest.mark.parametrize(("experts", "active", "bias"), [(4, 1, True), (3, 2, False)])
def test_from_linear(experts, active, bias):
    linear = nn.Linear(5, 3, bias=bias).double()
    layer = SparseMoELinear.from_linear(linear, experts=experts, active=active)
    x = torch.randn(9, 5, dtype=torch.float64)
    for mode in (True, False):
        assert torch.allclose(layer.train(mode)(x), linear(x), atol=1e-12)


def test_outputs_start_with_about_unit_variance():
    torch.manual_seed(0)
    y = SparseMoELinear(128, 256).eval()(torch.randn(2_000, 128))
    assert 0.6 < y.var().item() < 1.4


def test_more_active_than_experts_is_refused():
    with pytest.raises(LaminaError, match="active=3"):
        SparseMoELinear(5, 3, experts=2, active=3)
