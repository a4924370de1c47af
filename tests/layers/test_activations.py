import math
import pickle

import numpy as np
import pytest
import torch
from torch.func import jacfwd, vmap

from lamina.errors import LaminaError
from lamina.layers.activations import ACTIVATIONS, ActivationLinear, activation
from lamina.networks.factory import create

NAMES = sorted(ACTIVATIONS)
LEARNED = [name for name, kind in ACTIVATIONS.items() if kind.learned]


class Counted(np.ndarray):
    """An array whose elementwise operations are counted."""

    count = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        Counted.count += 1
        plain = [np.asarray(i) if isinstance(i, Counted) else i for i in inputs]
        return getattr(ufunc, method)(*plain, **options).view(Counted)


def erf(z):
    Counted.count += 1
    return np.array([math.erf(v) for v in np.asarray(z)]).view(Counted)


def clip(z, low, high):
    Counted.count += 1
    return np.asarray(z).clip(low, high).view(Counted)


def pade(z):
    a, b = ACTIVATIONS["pau"].learned[:6], ACTIVATIONS["pau"].learned[6:]
    above = ((((z * a[5] + a[4]) * z + a[3]) * z + a[2]) * z + a[1]) * z + a[0]
    return above / (1 + abs((((z * b[3] + b[2]) * z + b[1]) * z + b[0]) * z))


FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "elliott": lambda z: z / (1 + abs(z)) * 0.5 + 0.5,
    "softsign": lambda z: z / (1 + abs(z)),
    "lisht": lambda z: z * np.tanh(z),
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.maximum(z, 0.01 * z),
    "prelu": lambda z: np.maximum(z, 0) + 0.25 * np.minimum(z, 0),
    "elu": lambda z: np.maximum(z, 0) + np.expm1(np.minimum(z, 0)),
    "selu": lambda z: 1.0507009873554805 * np.maximum(z, 0) + 1.7580993408473766 * np.expm1(np.minimum(z, 0)),
    "pdelu": lambda z: np.maximum(z, 0) + 1.0 * ((1 + 0.1 * clip(z, -10, 0)) ** 10 - 1),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "gelu": lambda z: 0.5 * z * (1 + erf(z * 0.5**0.5)),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "mish": lambda z: z * np.tanh(np.log1p(np.exp(z))),
    "swish": lambda z: z / (1 + np.exp(z * -1.0)),
    "srs": lambda z: z / (z / 5 + np.exp(z / -3)),
    "pau": pade,
}


def applied(name: str, z: torch.Tensor) -> torch.Tensor:
    kind = ACTIVATIONS[name]
    return kind.function(z, *(torch.tensor(v, dtype=z.dtype) for v in kind.learned))


@pytest.mark.parametrize("name", NAMES)
def test_values_and_cost_are_those_of_the_formula(name):
    z = np.linspace(-6, 6, 49)
    Counted.count = 0
    expected = np.asarray(FORMULAS[name](z.view(Counted)))
    assert Counted.count == ACTIVATIONS[name].cost
    np.testing.assert_allclose(applied(name, torch.tensor(z)), expected, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_range_and_monotonicity(name):
    kind, z = ACTIVATIONS[name], torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    y, far = applied(name, z), applied(name, torch.tensor([-2e3, 2e3], dtype=torch.float64))
    low, high = min(y.min(), far.min()), max(y.max(), far.max())
    assert bool((y.diff() >= -1e-12).all()) == kind.monotonic
    for found, declared in ((low, kind.low), (high, kind.high)):
        if math.isinf(declared):
            assert abs(found) > 10
        else:
            assert found == pytest.approx(declared, abs=0.02 if name == "srs" else 1.1e-3)
    assert low >= kind.low - 1e-3
    assert high <= kind.high + 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_smoothness(name):
    def derivatives(z: float) -> list[float]:
        functions = [lambda z: applied(name, z)]
        for _ in range(3):
            functions.append(jacfwd(functions[-1]))
        return [float(f(torch.tensor(z, dtype=torch.float64))) for f in functions]

    jumps = [abs(a - b) for a, b in zip(derivatives(-1e-9), derivatives(1e-9), strict=True)]
    smooth = next((order - 1 for order, jump in enumerate(jumps) if jump > 1e-3), math.inf)
    assert smooth == ACTIVATIONS[name].smoothness


@pytest.mark.parametrize("name", NAMES)
def test_odd_and_gain(name):
    kind, z = ACTIVATIONS[name], torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    y, weight = applied(name, z), torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi) * 1e-3
    assert bool(torch.allclose(y, -y.flip(0), atol=1e-12)) == kind.odd
    assert float((weight * y.square()).sum()) ** -0.5 == pytest.approx(kind.gain, abs=6e-4)


def test_the_rational_function_starts_as_a_leaky_relu():
    z = torch.linspace(-3, 3, 601, dtype=torch.float64)
    assert (applied("pau", z) - applied("leaky_relu", z)).abs().max() < 0.035


@pytest.mark.parametrize("name", LEARNED)
def test_every_unit_learns_its_own_parameters(name):
    layer = ActivationLinear(3, 5, activation=name)
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    layer(x)[:, 2].sum().backward()
    for parameter in layer.learned:
        assert parameter.grad is not None
        assert parameter.grad.nonzero().tolist() == [[2]]


@pytest.mark.parametrize("name", NAMES)
def test_each_one_stacks_and_can_be_pickled(name):
    layers = [ActivationLinear(3, 2, activation=name) for _ in range(2)]
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    state, _ = torch.func.stack_module_state(layers)
    stacked = vmap(lambda p: torch.func.functional_call(layers[0], p, (x,)))(state)
    torch.testing.assert_close(stacked, torch.stack([pickle.loads(pickle.dumps(layer))(x) for layer in layers]))


def test_from_linear_computes_the_same():
    linear, x = torch.nn.Linear(4, 3), torch.randn(7, 4)
    torch.testing.assert_close(ActivationLinear.from_linear(linear)(x), linear(x))


def test_the_option_reaches_a_network():
    assert create("activations", in_features=2, out_features=1, width=4, activation="srs").hidden[0].activation == "srs"


def test_a_fixed_activation_is_found_by_its_name():
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    torch.testing.assert_close(activation("silu")(x), x / (1 + torch.exp(-x)))
    with pytest.raises(LaminaError, match="activation 'geluu' is not known; the closest are: gelu, "):
        activation("geluu")
    with pytest.raises(LaminaError, match=r"activation='prelu'.*ActivationLinear"):
        activation("prelu")
