"""Activation functions by family, with what is known of each, and a dense layer that ends in one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import LaminaError, unknown
from lamina.layers.arguments import described, features, whole


@dataclass(frozen=True)
class Activation:
    """An elementwise function and its properties; those of a learned one are of its initial parameters.

    Attributes:
        function: called with the inputs and, where it learns, with one tensor for each of its parameters.
        family: ``sigmoid`` (bounded, and what is made of tanh), ``relu``, ``elu``, ``gate`` (the input times a smooth
            step, and softplus), ``rational``, or ``identity``.
        low, high: infimum and supremum of its values, to three decimals.
        monotonic: whether it never falls.
        smoothness: how many continuous derivatives it has, 0 for a continuous function with a kink, infinity for all.
        odd: whether it is zero-centred: inputs spread evenly around zero give such outputs.
        cost: elementwise operations of its formula, where that of ReLU has one; exp, log, tanh and erf count as one.
        gain: makes the mean square of its values on standard normal inputs 1, to three decimals.
        learned: initial values of its parameters, of which every unit has its own.
    """

    function: Callable[..., Tensor]
    family: str
    low: float
    high: float
    monotonic: bool
    smoothness: int | float
    odd: bool
    cost: int
    gain: float
    learned: tuple[float, ...] = ()


def _elliott(z: Tensor) -> Tensor:
    return 0.5 * F.softsign(z) + 0.5


def _lisht(z: Tensor) -> Tensor:
    return z * z.tanh()


def _prelu(z: Tensor, slope: Tensor) -> Tensor:
    return z.relu() + slope * z.clamp_max(0)


def _pdelu(z: Tensor, height: Tensor) -> Tensor:
    square = (1 + 0.1 * z.clamp(-10, 0)).square()
    return z.relu() + height * (square.square().square() * square - 1)


def _swish(z: Tensor, slope: Tensor) -> Tensor:
    return z * torch.sigmoid(slope * z)


def _srs(z: Tensor, high: Tensor, width: Tensor) -> Tensor:
    return z / (z / high + torch.exp(-z / width))


def _pade(z: Tensor, *learned: Tensor) -> Tensor:
    above, below = learned[5], learned[9] * z
    for coefficient in learned[4::-1]:
        above = above * z + coefficient
    for coefficient in learned[8:5:-1]:
        below = (below + coefficient) * z
    return above / (1 + below.abs())


_PADE = (0.034, 0.505, 1.653, 2.008, 0.931, 0.152, 0.0, 3.976, 0.0, 0.301)  # leaky ReLU on [-3, 3] to 0.034

#               function, family, low, high, monotonic, smoothness, odd, cost, gain, learned
ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(torch.Tensor.contiguous, "identity", -inf, inf, True, inf, True, 0, 1.0),
    "sigmoid": Activation(torch.sigmoid, "sigmoid", 0.0, 1.0, True, inf, False, 4, 1.846),
    "tanh": Activation(torch.tanh, "sigmoid", -1.0, 1.0, True, inf, True, 1, 1.593),
    "elliott": Activation(_elliott, "sigmoid", 0.0, 1.0, True, 1, False, 5, 1.839),
    "softsign": Activation(F.softsign, "sigmoid", -1.0, 1.0, True, 1, True, 3, 2.338),
    "lisht": Activation(_lisht, "sigmoid", 0.0, inf, False, inf, False, 2, 1.149),
    "relu": Activation(F.relu, "relu", 0.0, inf, True, 0, False, 1, 1.414),
    "leaky_relu": Activation(F.leaky_relu, "relu", -inf, inf, True, 0, False, 2, 1.414),
    "prelu": Activation(_prelu, "relu", -inf, inf, True, 0, False, 4, 1.372, (0.25,)),
    "elu": Activation(F.elu, "elu", -1.0, inf, True, 1, False, 4, 1.245),
    "selu": Activation(F.selu, "elu", -1.758, inf, True, 0, False, 6, 1.0),
    "pdelu": Activation(_pdelu, "elu", -1.0, inf, True, 1, False, 8, 1.237, (1.0,)),
    "softplus": Activation(F.softplus, "gate", 0.0, inf, True, inf, False, 2, 1.042),
    "gelu": Activation(F.gelu, "gate", -0.170, inf, False, inf, False, 5, 1.534),
    "silu": Activation(F.silu, "gate", -0.278, inf, False, inf, False, 4, 1.677),
    "mish": Activation(F.mish, "gate", -0.309, inf, False, inf, False, 4, 1.487),
    "swish": Activation(_swish, "gate", -0.278, inf, False, inf, False, 4, 1.677, (1.0,)),
    "srs": Activation(_srs, "gate", -1.416, 5.0, False, inf, False, 5, 1.078, (5.0, 3.0)),
    "pau": Activation(_pade, "rational", -inf, inf, False, inf, False, 20, 1.414, _PADE),
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function called `name`, for layers that have no place for what it would learn.

    Raises:
        LaminaError: the name is not known (the closest are told), or the function is a learned one.
    """
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    if ACTIVATIONS[name].learned:
        raise LaminaError(f"activation={name!r}: it has parameters to learn; ActivationLinear has a place for them")
    return ACTIVATIONS[name].function


@layer(
    domain="any",
    summary="a dense layer with one of 19 activation functions, fixed or learned",
    paper="Dubey et al. 2022, Activation Functions in Deep Learning: A Comprehensive Survey and Benchmark, "
    "arXiv:2109.14545",
)
class ActivationLinear(nn.Module):
    r"""Dense layer followed by an activation function by name.

    .. math:: y = \sigma_\theta(W x + b)

    A learned activation has its parameters :math:`\theta` once for every output. `ACTIVATIONS` says of each function
    its family, range, monotonicity, smoothness and cost. Those of the survey are here but for ABReLU, which is not
    elementwise, and CELU, which at its default is ELU; softsign, SiLU and the identity are added. The arithmetic is
    that of a dense layer and of `Activation.cost` elementwise operations, which take most of the time of small layers
    with ``pau``, ``pdelu``, ``prelu`` or ``mish``. Outputs of bounded functions have less than unit variance.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        activation: a key of `ACTIVATIONS`. Default "gelu", the one that most networks of today use.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, the activation is not known, or an input has another last dimension.

    Source:
        Dubey et al. 2022, Activation Functions in Deep Learning: A Comprehensive Survey and Benchmark,
        arXiv:2109.14545.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str = "gelu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features)
        if activation not in ACTIVATIONS:
            raise unknown("activation", activation, ACTIVATIONS)
        self.in_features, self.out_features, self.activation = in_features, out_features, activation
        self.kind = ACTIVATIONS[activation]
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.learned = nn.ParameterList(torch.empty_like(self.bias) for _ in self.kind.learned)
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear) -> ActivationLinear:
        """The layer that computes exactly what `linear` does: a PReLU whose slopes start at 1."""
        weight = linear.weight
        new = cls(linear.in_features, linear.out_features, activation="prelu", device=weight.device, dtype=weight.dtype)
        with torch.no_grad():
            new.weight.copy_(weight)
            new.bias.copy_(torch.zeros_like(new.bias) if linear.bias is None else linear.bias)
            new.learned[0].fill_(1)
        return new

    def reset_parameters(self) -> None:
        """Draw weights with variance ``gain**2 / in_features``: outputs of about unit size unless they are bounded."""
        nn.init.normal_(self.weight, std=self.kind.gain / math.sqrt(self.in_features))
        nn.init.zeros_(self.bias)
        for parameter, value in zip(self.learned, self.kind.learned, strict=True):
            nn.init.constant_(parameter, value)

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        z = F.linear(features(x, self.in_features), self.weight, self.bias)
        return self.kind.function(z, *self.learned)

    extra_repr = described
