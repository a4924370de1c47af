import numpy as np
import pytest
import torch
from scipy import stats

from lamina.errors import LaminaError
from lamina.training.fleet import Fleet
from lamina.training.noise import BLOCK, Noise
from lamina.training.program import Program

CPU = torch.device("cpu")


def stream(seeds, sizes=(1000,), step=0, shard=(0, 1)):
    noise = Noise([(s,) for s in seeds], CPU, shard)
    noise.reserve(sizes)
    noise.begin(step)
    return noise


def uniform(noise, n=1000, site=0):
    return noise.uniform(site, (len(noise.seeds), n), torch.float32).clone()


def test_numbers_are_uniform_and_those_of_members_steps_and_places_are_independent():
    noise = stream([1, 2], (20_000, 20_000))
    first = [uniform(noise, 20_000, site) for site in (0, 1)]
    noise.begin(1)
    rows = torch.cat([*first, uniform(noise, 20_000)]).numpy()
    for row in rows:
        assert stats.kstest(row, "uniform").pvalue > 1e-4
    correlation = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlation).max() < 0.04  # five standard errors of 1 / sqrt(20,000)


def test_a_members_numbers_depend_on_its_seed_and_the_step_alone():
    whole, part = stream([1, 2, 3], step=BLOCK + 5), stream([3], step=BLOCK + 5)
    assert torch.equal(uniform(whole)[2:], uniform(part))
    whole.keep([2, 0])
    whole.begin(BLOCK + 5)
    assert torch.equal(uniform(whole)[:1], uniform(part))
    assert not torch.equal(uniform(stream([3], step=BLOCK + 6)), uniform(part))


def test_equal_seeds_draw_equal_numbers():
    a, b = uniform(stream([5, 5]))
    assert torch.equal(a, b)


def test_two_shards_draw_what_one_process_draws():
    whole = uniform(stream([1, 2], (600,)), 600)
    parts = [uniform(stream([1, 2], (300,), shard=(rank, 2)), 300) for rank in range(2)]
    assert torch.equal(torch.cat(parts, dim=1), whole)


def test_normal_numbers_are_standard_normal():
    noise = stream([0], (50_000,))
    assert stats.kstest(noise.normal(0, (1, 50_000), torch.float64)[0].numpy(), "norm").pvalue > 1e-4


def test_more_numbers_than_the_pool_has_make_a_larger_pool():
    noise = stream([0], (3_000_000,))
    assert len(noise.pool) >= 6_000_000


class Odd(torch.nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.linear, self.draw = torch.nn.Linear(3, 2), draw

    def forward(self, x):
        h = self.linear(x)
        return h * self.draw(h)


DRAWS = {
    "rand": (lambda h: torch.rand(h.shape), stats.uniform()),
    "rand_like": (torch.rand_like, stats.uniform()),
    "uniform_": (lambda h: torch.empty_like(h).uniform_(2, 5), stats.uniform(2, 3)),
    "randn": (lambda h: torch.randn(h.shape), stats.norm()),
    "randn_like": (torch.randn_like, stats.norm()),
    "normal_": (lambda h: torch.empty_like(h).normal_(1, 2), stats.norm(1, 2)),
    "exponential_": (lambda h: torch.empty_like(h).exponential_(2.0), stats.expon(scale=0.5)),
}


def drawn(draw, rows=20_000):
    """What the operation that stands for `draw` in a traced step gives: (members, rows, 2)."""
    fleet = Fleet([Odd(draw), Odd(draw)])
    noise = Noise([(0,), (1,)], CPU)
    x, y = torch.zeros(2, rows, 3), torch.zeros(2, rows, dtype=torch.int64)
    graph = Program(fleet, fleet.parameters, x, y, None, noise).run.graph
    (node,) = [n for n in graph.nodes if getattr(n.target, "__module__", "") == "lamina.training.noise"]
    noise.begin(0)
    return node.target(torch.full((2, rows, 2), 0.3), *node.args[1:])


@pytest.mark.parametrize("name", DRAWS)
def test_every_way_to_draw_has_its_distribution(name):
    draw, distribution = DRAWS[name]
    a, b = drawn(draw).flatten(1).numpy()
    assert stats.kstest(a, distribution.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03


@pytest.mark.parametrize("name", ["bernoulli", "dropout"])
def test_bernoulli_numbers_have_their_rate(name):
    draw = {"bernoulli": lambda h: torch.bernoulli(torch.full_like(h, 0.3)), "dropout": torch.nn.Dropout(0.7)}[name]
    numbers = drawn(draw).flatten(1)
    assert set(numbers.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(numbers.mean(1), torch.full((2,), 0.3), rtol=0, atol=0.012)


def test_an_unknown_way_to_draw_is_said():
    with pytest.raises(LaminaError, match=r"random numbers of aten\.randint"):
        drawn(lambda h: torch.randint_like(h, 3))
