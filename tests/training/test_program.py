import pytest
import torch
from torch import nn
from torch.nn import functional as F

import lamina
from lamina.catalog import table_networks
from lamina.errors import LaminaError, LaminaWarning
from lamina.networks import KAN
from lamina.training.fleet import Fleet
from lamina.training.loss import member_loss
from lamina.training.noise import Noise
from lamina.training.program import OneByOne, Program, make_step

MEMBERS, ROWS = 3, 6


class Branching(nn.Module):
    """Its control flow depends on its values, so that it cannot be stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        h = self.linear(x)
        return F.dropout(h, 0.5, self.training) if h.sum() > 0 else -h


class TopK(nn.Module):
    """Routes every row to the two of four experts that its gate likes best."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(4, 4), nn.Linear(4, 8)

    def forward(self, x):
        value, index = self.gate(x).topk(2, dim=-1)
        gate = torch.zeros_like(x).scatter(-1, index, value.softmax(-1))
        return (gate.unsqueeze(-1) * self.experts(x).unflatten(-1, (4, 2))).sum(-2)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.b(F.layer_norm(x + F.gelu(self.a(x)), (4,)))


def build(make, dtype=torch.float64):
    built = []
    for seed in range(MEMBERS):
        torch.manual_seed(seed)
        built.append(make().to(dtype))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(MEMBERS, ROWS, 4, generator=generator, dtype=dtype)
    return built, Fleet(built), x, torch.randint(0, 2, (MEMBERS, ROWS), generator=generator)


def run(kind, fleet, x, y, weight=None, step=0, seeds=None, **options):
    made = Noise([(s,) for s in (seeds or range(len(fleet)))], fleet.device)
    batch = (fleet.parameters, x, y, weight)
    compute = kind(fleet, *batch, made, **options) if kind is Program else kind(fleet, made, **options)
    made.begin(step)
    return compute(fleet.parameters, fleet.buffers, *batch[1:])


def in_a_loop(built, x, y, weight=None):
    losses, gradients = [], []
    for i, network in enumerate(built):
        rows = F.cross_entropy(network.train()(x[i]), y[i], reduction="none")
        loss = rows.mean() if weight is None else (rows * weight[i]).sum() / weight[i].sum()
        losses.append(loss.detach())
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))]))
    return torch.stack(losses), torch.stack(gradients)


DETERMINISTIC = {
    "relu": lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)),
    "top_k": TopK,
    "residual": Residual,
    "batch_norm": lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2)),
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (4, 1)),
        nn.Linear(1, 4),
        nn.TransformerEncoderLayer(4, 2, 8, 0.0),
        nn.Flatten(),
        nn.Linear(16, 2),
    ),
    "convolution": lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 2), nn.Flatten(), nn.Linear(9, 2)),
}


@pytest.mark.parametrize("kind", [Program, OneByOne])
@pytest.mark.parametrize("name", DETERMINISTIC)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_has_the_losses_and_gradients_of_a_loop(kind, name, weighted):
    built, fleet, x, y = build(DETERMINISTIC[name])
    weight = torch.rand(MEMBERS, ROWS, generator=torch.Generator().manual_seed(1)).double() if weighted else None
    expected = in_a_loop(built, x, y, weight)
    for ours, theirs in zip(run(kind, fleet, x, y, weight), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [Program, OneByOne])
def test_a_penalty_counts_in_the_gradient_and_not_in_the_losses(kind):
    built, fleet, x, y = build(lambda: KAN([4, 3, 2]))
    losses, gradients = in_a_loop(built, x, y)
    for i, member in enumerate(built):
        found = torch.autograd.grad(member.penalty(x[i]), list(member.parameters()))
        gradients[i] += 0.1 * torch.cat([g.flatten() for g in found])
    for ours, theirs in zip(run(kind, fleet, x, y, penalty=0.1), (losses, gradients), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [Program, OneByOne])
def test_running_statistics_are_each_members_own_and_those_of_a_loop(kind):
    built, fleet, x, y = build(DETERMINISTIC["batch_norm"])
    made = Noise([(s,) for s in range(MEMBERS)], fleet.device)
    compute = Program(fleet, fleet.parameters, x, y, None, made) if kind is Program else OneByOne(fleet, made)
    for step in range(3):
        made.begin(step)
        compute(fleet.parameters, fleet.buffers, x + step, y, None)
        for i, network in enumerate(built):
            network.train()(x[i] + step)
    for i, network in enumerate(built):
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(fleet.buffers[name][i], buffer)
    assert fleet.buffers["1.num_batches_tracked"].tolist() == [3, 3, 3]


RANDOM = {
    "our dropout": lambda: lamina.create("mlp", in_features=4, out_features=2, width=5, dropout=0.5),
    "dropout": lambda: nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 2)),
    "alpha dropout": lambda: nn.Sequential(nn.Linear(4, 5), nn.AlphaDropout(0.5), nn.Linear(5, 2)),
    "gumbel": lambda: lamina.create("moe", in_features=4, out_features=2, width=5),
}


@pytest.mark.parametrize("kind", [Program, OneByOne])
@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_a_members_own_whoever_else_is_in_the_fleet(kind, name):
    _, fleet, x, y = build(RANDOM[name])
    together = run(kind, fleet, x, y, step=7)
    alone = run(kind, fleet.select([2]), x[2:], y[2:], step=7, seeds=[2])
    later = run(kind, fleet, x, y, step=8)
    for whole, part, other in zip(together, alone, later, strict=True):
        torch.testing.assert_close(whole[2:], part, rtol=1e-10, atol=1e-12)
        assert not torch.allclose(whole, other)


def test_dropout_of_a_program_has_the_right_mean_and_rate():
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Dropout(0.3))
    nn.init.ones_(network[0].weight)
    fleet, x = Fleet([network] * 2), torch.ones(2, 20_000, 1)
    made = Noise([(0,), (1,)], fleet.device)
    compute = Program(fleet, fleet.parameters, x, torch.zeros(2, 20_000), None, made)
    losses = []
    for step in range(20):
        made.begin(step)
        losses.append(compute(fleet.parameters, fleet.buffers, x, torch.zeros(2, 20_000), None)[0])
    # the output is 1 / 0.7 with probability 0.7, so its mean square is 1 / 0.7; its standard error is below 0.002
    torch.testing.assert_close(torch.stack(losses).mean(0), torch.full((2,), 1 / 0.7), rtol=0, atol=0.01)
    assert losses[0][0] != losses[0][1] != losses[1][1]


def test_a_network_that_cannot_be_stacked_is_trained_one_by_one_with_a_warning():
    built, fleet, x, y = build(Branching)
    made = Noise([(s,) for s in range(MEMBERS)], fleet.device)
    with pytest.raises(LaminaError, match="Branching cannot be trained as a stack: RuntimeError: vmap"):
        Program(fleet, fleet.parameters, x, y, None, made)
    with pytest.warns(LaminaWarning, match="Branching cannot .* its members are trained one by one"):
        step = make_step(fleet, fleet.parameters, x, y, None, made, autocast=False)
    made.begin(0)
    losses, _ = step(fleet.parameters, fleet.buffers, x, y, None)
    assert losses.shape == (MEMBERS,)
    torch.testing.assert_close(fleet.predict(x[0]), torch.stack([n.eval()(x[0]) for n in built]))


def test_a_system_that_says_so_is_trained_one_by_one_without_a_warning():
    declare = lamina.catalog.network(domain="tables", summary="test", paper="", stacks=False)
    _, fleet, x, y = build(declare(type("Branching", (Branching,), {})))
    made = Noise([(s,) for s in range(MEMBERS)], fleet.device)
    assert isinstance(make_step(fleet, fleet.parameters, x, y, None, made, autocast=False), OneByOne)


def test_frozen_parameters_stay():
    network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    network[0].weight.requires_grad_(False)
    fleet = Fleet([network])
    assert fleet.parameters.shape == (1, 3 + 6 + 2)
    torch.testing.assert_close(fleet.module(0)(torch.ones(1, 4)), network(torch.ones(1, 4)))


def test_bfloat16_is_near_float32():
    _, fleet, x, y = build(DETERMINISTIC["relu"], torch.float32)
    (_, full), (_, half) = run(Program, fleet, x, y), run(Program, fleet, x, y, autocast=True)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, rtol=0.1, atol=0.02)
    assert not torch.equal(half, full)


def test_a_program_computes_what_vmap_computes():
    _, fleet, x, y = build(DETERMINISTIC["residual"])
    live = fleet.parameters.clone().requires_grad_()
    loss = member_loss(fleet.forward(live, x, training=True), y)
    (expected,) = torch.autograd.grad(loss.sum(), live)
    torch.testing.assert_close(run(Program, fleet, x, y)[1], expected, rtol=1e-10, atol=1e-12)


class Product(torch.autograd.Function):
    """``x w.T`` with a form of its own for a whole stack."""

    stacks = 0

    @staticmethod
    def forward(x, weight):
        return x @ weight.T

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, *gradients):
        x, weight = ctx.saved_tensors
        return gradients[0] @ weight, gradients[0].T @ x

    @staticmethod
    def vmap(info, in_dims, x, weight):
        assert in_dims == (0, 0)
        Product.stacks += 1
        return torch.bmm(x, weight.mT), 0


class Batched(nn.Linear):
    def forward(self, x):
        return Product.apply(x, self.weight) + self.bias


def test_a_layers_own_batched_form_is_used_and_agrees_with_a_loop():
    built, fleet, x, y = build(lambda: nn.Sequential(Batched(4, 5), nn.ReLU(), Batched(5, 2)))
    Product.stacks = 0
    for ours, theirs in zip(run(Program, fleet, x, y), in_a_loop(built, x, y), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    assert Product.stacks == 2


@pytest.mark.parametrize("name", [*table_networks(), *DETERMINISTIC])
def test_with_all_memory_set_aside_a_step_is_still_that_of_vmap_time_after_time(name, monkeypatch):
    """At every size: what is small would otherwise have memory of its own and hide that two results share a place."""
    monkeypatch.setattr("lamina.training.graph.LARGE", 1)

    def make():
        if name in DETERMINISTIC:
            return DETERMINISTIC[name]()
        return lamina.create(name, in_features=4, out_features=2, width=7, dropout=0.3)

    _, fleet, x, y = build(make)
    made = Noise([(s,) for s in range(MEMBERS)], fleet.device)
    program = Program(fleet, fleet.parameters, x, y, None, made)
    monkeypatch.setattr("lamina.training.graph.LARGE", 1 << 40)
    monkeypatch.setattr("lamina.training.program.reuse_memory", lambda graph: None)
    plain = Noise([(s,) for s in range(MEMBERS)], fleet.device)
    simple = Program(fleet, fleet.parameters, x, y, None, plain)
    for step in range(2):
        made.begin(step)
        plain.begin(step)
        ours = program(fleet.parameters, fleet.buffers, x + step, y, None)
        theirs = simple(fleet.parameters, fleet.buffers, x + step, y, None)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
