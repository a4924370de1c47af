import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lamina.errors import LaminaError
from lamina.layers.span import SpanLinear


def drawn(seed, n=5, m=4, weights=6, edges=40):
    """A random span, several edges between the same two nodes included."""
    rng = np.random.default_rng(seed)
    source, target, parameter = (tuple(rng.integers(0, k, edges).tolist()) for k in (n, m, weights))
    source, target, parameter = (*source, n - 1), (*target, m - 1), (*parameter, weights - 1)
    torch.manual_seed(seed)
    layer = SpanLinear(n, m, source=source, target=target, parameter=parameter, activation="identity").double()
    return layer, (source, target, parameter)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_definition(seed):
    layer, legs = drawn(seed)
    nn.init.normal_(layer.bias)
    x, w = np.random.default_rng(seed).normal(size=5), layer.weight.tolist()
    y = layer.bias.detach().numpy().copy()
    for s, t, p in zip(*legs, strict=True):
        y[t] += w[p] * x[s]
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), y, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_derivatives_are_spans_with_permuted_legs(seed):
    layer, legs = drawn(seed)
    x, v = torch.randn(5, dtype=torch.float64, requires_grad=True), torch.randn(4, dtype=torch.float64)
    by_input, by_weight = torch.autograd.grad(layer(x) @ v, (x, layer.weight))
    s, t, p = legs
    back = SpanLinear(4, 5, source=t, target=s, parameter=p, activation="identity").double()
    back.weight = layer.weight
    weights = SpanLinear(5, 6, source=s, target=p, parameter=t, activation="identity").double()
    weights.weight = nn.Parameter(v)
    assert torch.allclose(back(v), by_input, atol=1e-12)
    assert torch.allclose(weights(x.detach()), by_weight, atol=1e-12)


def test_dense_is_the_span_of_all_pairs():
    t, s = np.indices((3, 4)).reshape(2, -1)
    source, target, parameter = (tuple(leg.tolist()) for leg in (s, t, 4 * t + s))
    span = SpanLinear(4, 3, source=source, target=target, parameter=parameter)
    plain = SpanLinear(4, 3)
    span.load_state_dict(plain.state_dict())
    x = torch.randn(6, 4)
    assert torch.equal(span(x), plain(x))
    assert torch.allclose(plain(x), nn.functional.gelu(x @ plain.weight.view(3, 4).T))


def test_two_edges_between_the_same_nodes_add_up():
    layer = SpanLinear(1, 1, source=(0, 0), target=(0, 0), parameter=(0, 1), activation="identity")
    layer.weight.data.copy_(torch.tensor([2.0, 3.0]))
    assert layer(torch.ones(1, 1)).item() == 5.0


def test_from_linear():
    linear = nn.Linear(5, 3)
    x = torch.randn(7, 5)
    assert torch.equal(SpanLinear.from_linear(linear)(x), linear(x))


def test_a_span_stacks_and_its_repr_makes_it_again():
    layer, legs = drawn(0)
    again = eval(repr(layer))
    assert (again.source, again.target, again.parameter) == legs
    layers = [drawn(seed)[0] for seed in (0, 0)]
    nn.init.normal_(layers[1].weight)
    parameters, buffers = torch.func.stack_module_state(layers)
    x = torch.randn(6, 5, dtype=torch.float64)
    y = torch.func.vmap(lambda p, b: torch.func.functional_call(layers[0], (p, b), (x,)))(parameters, buffers)
    assert torch.allclose(y, torch.stack([layer(x) for layer in layers]))


@pytest.mark.parametrize(
    ("legs", "word"),
    [
        ({"source": (0,)}, "target"),
        ({"source": (0,), "target": (0,)}, "parameter"),
        ({"source": (2,), "target": (0,), "parameter": (0,)}, "source"),
        ({"source": (0,), "target": (-1,), "parameter": (0,)}, "target"),
        ({"source": (0,), "target": (0, 1), "parameter": (0,)}, "target"),
        ({"source": (0,), "target": (0,), "parameter": (0.5,)}, "parameter"),
        ({"source": (), "target": (), "parameter": ()}, "source"),
    ],
)
def test_bad_legs_are_named(legs, word):
    with pytest.raises(LaminaError, match=word):
        SpanLinear(2, 2, **legs)
