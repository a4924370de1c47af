import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.layers import Hopfield
from lamina.layers.hopfield import HopfieldLookup, HopfieldPooling, retrieve


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def energy(state, stored, beta):
    """The energy of the continuous network, without its constants."""
    return (state.square().sum(-1) / 2 - (beta * state @ stored.mT).logsumexp(-1) / beta).double()


def test_the_update_rule():
    query, stored = draw(5, 3), draw(7, 3, seed=1)
    expected = query.numpy()
    for _ in range(4):
        expected = softmax(0.7 * expected @ stored.numpy().T) @ stored.numpy()
    np.testing.assert_allclose(retrieve(query, stored, beta=0.7, steps=4), expected, atol=1e-12)


@given(st.integers(0, 10_000), st.floats(0.1, 5.0))
@settings(max_examples=25, deadline=None)
def test_an_update_never_raises_the_energy(seed, beta):
    query, stored = draw(4, 3, seed=seed), draw(6, 3, seed=seed + 1)
    new = retrieve(query, stored, beta=beta)
    assert (energy(new, stored, beta) <= energy(query, stored, beta) + 1e-10).all()


def test_limits_of_beta_are_the_nearest_pattern_and_the_mean():
    stored = torch.nn.functional.normalize(draw(20, 8), dim=-1)
    query = stored + 0.05 * draw(20, 8, seed=1)
    torch.testing.assert_close(retrieve(query, stored, beta=1e4), stored)
    torch.testing.assert_close(retrieve(query, stored, beta=1e-9), stored.mean(0).expand(20, 8), atol=1e-7, rtol=0)


def test_states_converge_to_a_fixed_point_and_then_stand_still():
    query, stored = draw(2, 3, 5, 4), draw(2, 3, 9, 4, seed=1)
    found = retrieve(query, stored, beta=0.5, steps=10_000, tolerance=1e-9)
    torch.testing.assert_close(retrieve(found, stored, beta=0.5), found, atol=1e-8, rtol=0)


def test_a_state_freezes_by_itself_and_the_exit_changes_nothing():
    query, stored = draw(1, 6, 4), 2 * draw(1, 9, 4, seed=1)
    options = {"beta": 0.6, "steps": 12, "tolerance": 0.05}
    alone = torch.cat([retrieve(row, stored, **options) for row in query.split(1, 1)], 1)
    torch.testing.assert_close(retrieve(query, stored, **options), alone)
    compiled = torch.compile(lambda q: retrieve(q, stored, **options), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(query), alone)
    torch.testing.assert_close(torch.func.vmap(lambda q: retrieve(q, stored[0], **options))(query), alone)
    assert not torch.allclose(alone, retrieve(query, stored, beta=0.6, steps=12))


def test_masked_patterns_do_not_count():
    query, stored = draw(2, 3, 4), draw(2, 5, 4, seed=1)
    mask = torch.tensor([[True] * 3 + [False] * 2] * 3).expand(2, 3, 5)
    torch.testing.assert_close(retrieve(query, stored, beta=1.0, steps=3, mask=mask),
                               retrieve(query, stored[:, :3], beta=1.0, steps=3))  # fmt: skip
    nothing = retrieve(query, stored, beta=1.0, mask=torch.zeros(2, 3, 5, dtype=torch.bool))
    assert not nothing.any()


def test_one_step_is_multi_head_attention():
    ours = Hopfield(6, 6, heads=2).double()
    theirs = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64)
    for bias in (ours.query_bias, ours.stored_bias, ours.out_bias):
        torch.nn.init.normal_(bias)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query_weight, ours.stored_weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query_bias, ours.stored_bias]))
        theirs.out_proj.weight.copy_(ours.out_weight)
        theirs.out_proj.bias.copy_(ours.out_bias)
    x, y = draw(3, 5, 6), draw(3, 4, 6, seed=1)
    mask = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 0] = True
    torch.testing.assert_close(ours(x), theirs(x, x, x)[0])
    banned = ~mask.repeat_interleave(2, 0)
    torch.testing.assert_close(ours(x, y, mask), theirs(x, y, y, attn_mask=banned)[0])


def test_steps_of_the_layer_retrieve_keys_before_they_read_values():
    layer = Hopfield(4, 4, size=3, stored_features=5, beta=0.8, steps=3).double()
    x, y = draw(2, 6, 4), draw(2, 7, 5, seed=1)
    q = x @ layer.query_weight.T
    k, v = (y @ layer.stored_weight.T).chunk(2, -1)
    for _ in range(2):
        q = (0.8 * q @ k.mT).softmax(-1) @ k
    expected = (0.8 * q @ k.mT).softmax(-1) @ v @ layer.out_weight.T
    torch.testing.assert_close(layer(x, y), expected)
    with pytest.raises(LaminaError, match="4"):
        layer(x)


def test_pooling_reads_a_set_of_any_size_in_any_order():
    pool = HopfieldPooling(4, 5, queries=3, heads=2, steps=2).double()
    x = draw(2, 6, 4)
    found = pool(x)
    assert found.shape == (2, 3, 5)
    torch.testing.assert_close(pool(x[:, torch.randperm(6, generator=torch.Generator().manual_seed(0))]), found)
    mask = (torch.arange(6) < 4).expand(2, 1, 6)
    torch.testing.assert_close(pool(x, mask), pool(x[:, :4]))
    torch.testing.assert_close(pool(x, torch.zeros_like(mask)), pool.out_bias.expand(2, 3, 5))
    torch.testing.assert_close(pool(x[0]), found[0])


def test_lookup_is_association_with_one_memory_for_all_rows():
    layer = HopfieldLookup(4, 5, patterns=6, size=3, steps=2).double()
    x = draw(2, 7, 4)
    q, scale = x @ layer.query_weight.T, 3**-0.5
    q = (scale * q @ layer.keys[0].T).softmax(-1) @ layer.keys[0]
    expected = (scale * q @ layer.keys[0].T).softmax(-1) @ layer.values[0] @ layer.out_weight.T
    torch.testing.assert_close(layer(x), expected)
    assert layer(x[:, :0]).shape == (2, 0, 5)


def test_lookup_starts_with_unit_variance():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = HopfieldLookup(32, 64, patterns=128)(torch.randn(500, 32)).var().item()
    assert math.isclose(found, 1.0, abs_tol=0.3)


@pytest.mark.parametrize("kind", [HopfieldPooling, HopfieldLookup])
def test_pooling_and_lookup_stack_compile_and_repeat_their_arguments(kind):
    made = [kind(4, 5, heads=2, steps=3, tolerance=1e-3).double() for _ in range(3)]
    x = draw(2, 6, 4)
    parameters, buffers = torch.func.stack_module_state(made)
    together = torch.func.vmap(lambda p, b: torch.func.functional_call(made[0], (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([layer(x) for layer in made]))
    compiled = torch.compile(made[0], backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), made[0](x))
    assert torch.autograd.gradcheck(made[0], (x.requires_grad_(),), fast_mode=True)
    assert repr(eval(repr(made[0]), {kind.__name__: kind})) == repr(made[0])
    for wrong in ({"beta": 0.0}, {"steps": 0}, {"size": 0}, {"heads": 0}, {"tolerance": -1.0}):
        with pytest.raises(LaminaError, match=next(iter(wrong))):
            kind(4, 5, **wrong)
