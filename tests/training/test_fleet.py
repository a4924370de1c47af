import pytest
import torch
from torch import nn

import lamina
from lamina.errors import LaminaError
from lamina.training.fleet import Fleet


def networks(n=3, **options):
    return [lamina.create("mlp", in_features=4, out_features=2, width=8, seed=i, **options) for i in range(n)]


def test_a_fleet_computes_what_its_networks_compute():
    built = networks()
    fleet, shared, own = Fleet(built), torch.randn(5, 4), torch.randn(3, 5, 4)
    with torch.no_grad():
        torch.testing.assert_close(fleet.predict(shared), torch.stack([n.eval()(shared) for n in built]))
        expected = torch.stack([n(x) for n, x in zip(built, own, strict=True)])
        torch.testing.assert_close(fleet.forward(fleet.parameters, own, training=False), expected)


def test_chunks_do_not_change_predictions():
    fleet, x = Fleet(networks()), torch.randn(23, 4)
    torch.testing.assert_close(fleet.predict(x, chunk=5), fleet.predict(x))


def test_gradients_of_the_sum_fall_apart_into_the_members():
    built = networks()
    fleet, x = Fleet(built), torch.randn(3, 5, 4)
    parameters = fleet.parameters.clone().requires_grad_()
    fleet.forward(parameters, x, training=False).square().sum().backward()
    for i, network in enumerate(built):
        network.eval()(x[i]).square().sum().backward()
        expected = torch.cat([p.grad.flatten() for p in network.parameters()])
        torch.testing.assert_close(parameters.grad[i], expected)


def test_a_member_comes_out_as_an_ordinary_module():
    built = networks(dropout=0.3)
    fleet, x = Fleet(built), torch.randn(6, 4)
    module = fleet.module(1)
    torch.testing.assert_close(module(x), built[1].eval()(x))
    assert {k: v.tolist() for k, v in module.state_dict().items()} == {
        k: v.tolist() for k, v in built[1].state_dict().items()
    }


def test_members_are_selected_in_the_order_given():
    fleet, x = Fleet(networks()), torch.randn(6, 4)
    torch.testing.assert_close(fleet.select([2, 0]).predict(x), fleet.predict(x)[[2, 0]])


def test_dropout_rates_differ_by_member():
    built = [*networks(1, dropout=0.0), *networks(1, dropout=0.9)]
    fleet, x = Fleet(built), torch.ones(2, 64, 4)
    torch.manual_seed(0)
    a, b = (fleet.forward(fleet.parameters, x, training=True) for _ in range(2))
    torch.testing.assert_close(a[0], b[0])
    assert (a[1] - b[1]).abs().max() > 0.1


def test_weight_decay_spares_biases_and_norms():
    network = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    assert Fleet([network]).decayed().tolist() == [1.0] * 6 + [0.0] * 6


def test_an_empty_fleet_is_refused():
    with pytest.raises(LaminaError, match="a fleet needs at least one network"):
        Fleet([])
