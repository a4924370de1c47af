import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lamina.errors import LaminaError
from lamina.layers.task_moe import TaskMoELinear


def made(seed=0, tasks=3, **options):
    torch.manual_seed(seed)
    layer = TaskMoELinear(5, 2, tasks=tasks, **options).double().eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer, torch.randn(30, 5, dtype=torch.float64), torch.randint(0, max(tasks, 1), (30,))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), experts=st.integers(1, 5), data=st.data())
def test_each_row_is_the_sum_of_the_experts_that_its_task_prefers(seed, experts, data):
    active = data.draw(st.integers(1, experts))
    layer, x, task = made(seed, experts=experts, active=active, activation="tanh")
    weights, biases = layer.weight.view(experts, 2, 5), layer.bias.view(experts, 2)
    assert layer.preference is not None
    for row, t, output in zip(x, task, layer(x, task), strict=True):
        scores = layer.gate_weight @ row + layer.preference[t]
        chances = scores.softmax(0) * experts / active
        best = scores.argsort(descending=True)[:active]
        expected = torch.stack([chances[e] * (weights[e] @ row + biases[e]).tanh() for e in best]).sum(0)
        assert torch.allclose(output, expected, atol=1e-12)


def test_tasks_that_prefer_an_expert_strongly_use_its_weights_alone():
    layer, x, task = made(experts=2, tasks=2)
    assert layer.preference is not None
    layer.preference.data.copy_(torch.tensor([[1e3, 0.0], [0.0, 1e3]]))
    (by_experts,) = torch.autograd.grad(layer(x[task == 0], task[task == 0]).sum(), layer.weight)
    assert by_experts[:2].abs().max() > 0
    assert by_experts[2:].abs().max() == 0


def test_a_gate_of_an_embedding_is_a_gate_of_preferences():
    layer, x, task = made()
    assert layer.preference is not None
    embedding, reads = torch.randn(3, 7, dtype=torch.float64), torch.randn(4, 7, dtype=torch.float64)
    layer.preference.data.copy_(embedding @ reads.T)
    both = torch.cat([x, embedding[task]], dim=1) @ torch.cat([layer.gate_weight, reads], dim=1).T
    gate = layer.gate(x, task)
    assert torch.equal(gate.argmax(1), both.argmax(1))
    assert torch.allclose(gate.sum(1), 4 * both.softmax(1).max(1).values)


def test_without_a_task_the_mean_of_all_preferences_stands_in():
    layer, x, _ = made(tasks=1)
    assert torch.equal(layer(x), layer(x, torch.zeros(30, dtype=torch.int64)))
    plain, rows, _ = made(tasks=0)
    assert torch.equal(
        plain.gate(rows) > 0, (scores := rows @ plain.gate_weight.T) == scores.max(1, keepdim=True).values
    )


def test_noise_shares_rows_out_in_training_only():
    torch.manual_seed(0)
    layer, x = TaskMoELinear(5, 2), torch.randn(4_000, 5)
    counts = (layer.train().gate(x) > 0).sum(0)
    assert (counts - 1_000).abs().max() < 250
    assert torch.equal(layer.eval().gate(x), layer.gate(x))


@pytest.mark.parametrize(("tasks", "active", "bias"), [(0, 1, True), (3, 2, False)])
def test_from_linear(tasks, active, bias):
    linear = nn.Linear(5, 2, bias=bias).double()
    layer = TaskMoELinear.from_linear(linear, tasks=tasks, experts=3, active=active)
    x = torch.randn(9, 5, dtype=torch.float64)
    for mode in (True, False):
        assert torch.allclose(layer.train(mode)(x), linear(x), atol=1e-12)


def test_outputs_start_with_about_unit_variance():
    torch.manual_seed(0)
    y = TaskMoELinear(128, 256, tasks=5).eval()(torch.randn(2_000, 128), torch.randint(0, 5, (2_000,)))
    assert 0.6 < y.var().item() < 1.4


def test_errors_name_the_argument():
    with pytest.raises(LaminaError, match="active=3"):
        TaskMoELinear(5, 2, experts=2, active=3)
    with pytest.raises(LaminaError, match="tasks=0"):
        TaskMoELinear(5, 2)(torch.zeros(1, 5), torch.zeros(1, dtype=torch.int64))
