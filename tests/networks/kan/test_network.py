import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina.errors import LaminaError
from lamina.networks import KAN
from lamina.training import Member, Recipe, Setting


def made(*sizes: int, seed: int = 0, **options) -> KAN:
    torch.manual_seed(seed)
    network = KAN(sizes, **options).double()
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.normal_(0, 0.5)
    return network


def rows(network: KAN, count: int = 100) -> torch.Tensor:
    return torch.randn(count, network.sizes[0], generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_outputs_are_the_sums_over_the_edges_of_each_layer():
    network = made(3, 4, 2)
    x = rows(network)
    hidden, output = (edges.sum(-1) for edges in network.edges(x))
    activations = network.activations(x)
    torch.testing.assert_close(hidden, activations[1])
    torch.testing.assert_close(output, activations[2])
    torch.testing.assert_close(output, network(x))


@settings(max_examples=10)
@given(times=st.integers(1, 4), seed=st.integers(0, 50))
def test_a_refined_network_is_the_same_function(times, seed):
    network = made(2, 3, 2, 1, grid=3, seed=seed)
    x = rows(network)
    assert (network.refine(3 * times)(x) - network(x)).abs().max() < 1e-6


def test_adapted_grids_reach_over_what_each_layer_sees():
    network = made(2, 3, 1, grid=4).refine(40)
    x = rows(network)
    fitted = network.adapt(x)
    for layer, h in zip(fitted.layers, fitted.activations(x), strict=False):
        torch.testing.assert_close(layer.low, h.amin(0))
        torch.testing.assert_close(layer.high, h.amax(0))
    assert (fitted(x) - network(x)).abs().max() < 0.05 * network(x).std()


def test_the_penalty_is_its_formula_and_has_a_gradient():
    network = made(2, 2, 1)
    x = rows(network)
    total = 0.0
    for edges in network.edges(x):
        a = edges.abs().mean(0)
        p = a / a.sum()
        total += a.sum() - 0.5 * (p * p.log()).sum()
    penalty = network.penalty(x, entropy=0.5)
    torch.testing.assert_close(penalty, total)
    penalty.backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in network.parameters())


def test_the_penalty_of_a_dead_network_is_nothing():
    network = made(2, 2, 1)
    torch.nn.init.zeros_(network.layers[0].weight)
    torch.nn.init.zeros_(network.layers[1].weight)
    penalty = network.penalty(rows(network))
    penalty.backward()
    assert penalty == 0
    assert all(p.grad.isfinite().all() for p in network.parameters())
    assert not network.activations(rows(network))[1].any()


def test_scores_share_out_the_outputs():
    network = made(3, 4, 2)
    first, second = network.scores(rows(network))
    torch.testing.assert_close(second.sum(1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(first.sum(1), second.sum(0))


def test_pruning_leaves_out_nodes_that_do_not_matter_and_keeps_the_function():
    network = made(2, 5, 1)
    with torch.no_grad():
        network.layers[1].weight[..., [0, 2, 3]] = 0.0
        network.layers[1].weight[:, 1:, 3] = 7.0  # a constant, which is kept
    x = rows(network)
    small = network.prune(x)
    assert small.sizes == (2, 2, 1)
    torch.testing.assert_close(small(x), network(x))


@pytest.mark.parametrize("basis", ["spline", "chebyshev", "relu"])
def test_pruning_everything_leaves_a_node_a_layer_and_no_nan(basis):
    network = made(3, 4, 4, 2, basis=basis)
    x = rows(network)
    small = network.prune(x, threshold=1.0)
    assert small.sizes == (3, 1, 1, 2)
    assert small(x).isfinite().all()
    dead = made(3, 4, 1)
    torch.nn.init.zeros_(dead.layers[1].weight)
    assert dead.prune(x)(x).isfinite().all()


def test_it_trains_in_a_fleet_and_in_batches():
    x = torch.rand(400, 2) * 2 - 1
    y = torch.sin(3 * x[:, 0]) + x[:, 1] ** 2
    members = [Member(Setting(2e-2, weight_decay=0.0, dropout=0.0), seed, np.arange(400)) for seed in range(2)]
    networks = [made(2, 3, 1, seed=seed).float().adapt(x) for seed in range(2)]
    fitted = lamina.fit(networks, x, y, members=members, recipe=Recipe(steps=300, batch_size=64))
    error = (fitted.fleet.predict(x)[..., 0] - y).square().mean(1).sqrt()
    assert (error < 0.1 * y.std()).all()


@pytest.mark.parametrize(("sizes", "message"), [((3,), "inputs and outputs"), ((2, 0, 1), r"sizes\[1\]=0")])
def test_bad_sizes_are_named(sizes, message):
    with pytest.raises(LaminaError, match=message):
        KAN(sizes)


def test_the_drawing_has_a_curve_for_every_edge_and_the_names():
    network = made(2, 3, 1)
    x = rows(network)
    figure = network.plot(x, names=("length", "mass"))
    curves = [t for t in figure.data if t.text and "of the outputs" in str(t.text)]
    assert len(curves) == 9
    assert {"length", "mass"} <= {label for t in figure.data if t.mode == "markers+text" for label in t.text}
    share = sum(float(t.text.split(": ")[1].split("%")[0]) for t in curves[6:])
    assert math.isclose(share, 100, abs_tol=0.2)
    with pytest.raises(LaminaError, match="one for each input"):
        network.plot(x, names=("length",))
