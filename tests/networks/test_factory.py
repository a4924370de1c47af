import pytest
import torch
from torch import nn

from lamina.catalog import table_networks
from lamina.errors import LaminaError
from lamina.layers import KANLinear
from lamina.networks import CategoryEmbedding, Stack, count_params, create, sizes_for

SHAPE = {"in_features": 8, "out_features": 2}


def test_the_eight_networks_are_there():
    assert {"bilinear", "densenet", "fan", "hourglass", "kan", "mlp", "moe", "resnet"} <= set(table_networks())


def test_seed_gives_the_same_weights_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    one, two = (create("mlp", **SHAPE, width=8, seed=7) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(create("mlp", **SHAPE, width=8, seed=8).head.weight, one.head.weight)


def test_options_reach_layer_and_stack():
    network = create("kan", **SHAPE, width=8, grid=2, depth=3)
    assert isinstance(network, Stack)
    assert [m.grid for m in network.modules() if isinstance(m, KANLinear)] == [2, 2, 2]


@pytest.mark.parametrize("name", table_networks())
def test_solved_sizes_make_the_same_network(name):
    sizes = sizes_for(name, **SHAPE, params=5_000, categories=(3, 4))
    network = create(name, **SHAPE, categories=(3, 4), **sizes)
    assert count_params(network) == count_params(create(name, **SHAPE, categories=(3, 4), params=5_000))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "resnett"}, r"system 'resnett' is not known; the closest are: resnet"),
        ({"depht": 3}, r"option of 'mlp' 'depht' is not known; the closest are: depth"),
        ({"name": "kan", "girdle": 3}, r"option of 'kan' 'girdle' is not known; the closest are: grid"),
        ({"params": 100, "width": 5}, r"params=100 and width=5: give one of them"),
        ({"params": 0}, r"params=0: params has to be a whole number of at least 1"),
        ({"width": -1}, r"width=-1: width has to be a whole number of at least 1"),
        ({"in_features": 0}, r"in_features=0: in_features has to be"),
        ({"dropout": 1.5}, r"dropout=1\.5: dropout has to be a number from 0"),
    ],
)
def test_bad_arguments_are_named(changed, message):
    with pytest.raises(LaminaError, match=message):
        create(**{"name": "mlp", **SHAPE, **changed})


def test_category_codes_are_embedded_within_the_budget():
    network = create("resnet", in_features=5, out_features=1, categories=(3, 100), params=3_000, seed=0)
    assert isinstance(network[0], CategoryEmbedding)
    assert abs(count_params(network) - 3_000) <= 150


def test_networks_with_embeddings_stack():
    members = [create("mlp", **SHAPE, width=8, categories=(5, 6), seed=s, dropout=0.1 * s).eval() for s in (0, 1)]
    parameters, buffers = torch.func.stack_module_state(members)
    assert buffers["1.drop.rate"].tolist() == pytest.approx([0.0, 0.1])
    x = torch.cat([torch.randn(9, 6), torch.randint(0, 5, (9, 2)).float()], dim=1)
    found = torch.vmap(lambda p, b: torch.func.functional_call(members[0], (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(found, torch.stack([m(x) for m in members]))


def test_a_rule_is_not_a_network(monkeypatch):
    from lamina import catalog

    rule = catalog.System("backprop", "rule", "any", "", "", "lamina.rules.backprop", "Backprop")
    monkeypatch.setattr("lamina.networks.factory.find", lambda name: rule)
    with pytest.raises(LaminaError, match=r"system 'backprop' is a rule; networks for tables: activations, "):
        create("backprop", **SHAPE)


def test_hourglass_with_a_fixed_lift():
    trained, fixed = (create("hourglass", **SHAPE, width=16, train_lift=t, seed=0) for t in (True, False))
    assert count_params(trained) - count_params(fixed) == 8 * 16 + 16
    assert {"lift.weight", "lift.bias"} <= fixed.state_dict().keys()
    x = torch.randn(4, 8)
    assert torch.equal(trained(x), fixed(x))
    assert isinstance(fixed, nn.Module)
