import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lamina.catalog import STANDARD, table_networks
from lamina.errors import LaminaError
from lamina.networks import count_params, create, flops, solve_width


@given(st.integers(1, 50), st.integers(200, 100_000))
def test_solved_width_is_the_nearest(in_features, params):
    def build(width):
        return nn.Linear(in_features, width)

    width = solve_width(build, params)
    off = [abs(count_params(build(w)) - params) for w in (max(width - 1, 1), width, width + 1)]
    assert off[1] == min(off)


def test_a_budget_below_the_smallest_network_says_its_size():
    with pytest.raises(LaminaError, match=r"params=10: the smallest network has 21 parameters"):
        solve_width(lambda width: nn.Linear(20, width), 10)
    with pytest.raises(LaminaError, match=r"'kan' with params=20: the smallest network has \d+ parameters"):
        create("kan", in_features=10, out_features=1, params=20)


@pytest.mark.parametrize("name", table_networks())
@pytest.mark.parametrize("params", [500, 700, 1_500, 12_345, 100_000])
@pytest.mark.parametrize("in_features", [4, 13])
def test_every_network_meets_small_and_large_budgets(name, params, in_features):
    sizes = {"in_features": in_features, "out_features": 3}
    smallest = count_params(create(name, **sizes, width=1))
    if smallest > 1.05 * params:
        assert name not in STANDARD
        with pytest.raises(LaminaError, match=rf"smallest network has {smallest} parameters"):
            create(name, **sizes, params=params)
        return
    found = count_params(create(name, **sizes, params=params))
    assert abs(found - params) <= max(0.05 * params, smallest - params)


def test_counting_allocates_nothing_and_draws_no_random_numbers():
    state = torch.get_rng_state()
    assert solve_width(lambda width: nn.Linear(10**6, width), 10**12) == 999_999
    assert torch.equal(state, torch.get_rng_state())


def test_flops_of_matrix_products():
    network = create("mlp", in_features=10, out_features=3, width=16).train()
    assert flops(network, 10) == 2 * (10 * 16 + 16 * 16 + 16 * 3)
    assert network.training
    assert flops(create("kan", in_features=10, out_features=3, width=16), 10) == 2 * (26 * 16 * 9 + 16 * 3)


def test_shared_parameters_count_once():
    linear = nn.Linear(3, 3)
    assert count_params(nn.Sequential(linear, linear)) == 12
