"""GR-KAN: a learnable rational function for each group of inputs, then a linear map."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lamina.catalog import layer
from lamina.errors import unknown
from lamina.layers.arguments import described, features, whole

# Coefficients of numerator and denominator, and E[R(z)^2] for a standard normal z. The identity is written with the
# denominator of SiLU, since one of zeros would get no gradient through its absolute value.
_STARTS = {
    "identity": ((0.0, 1.0, 0.0, 0.10611, 0.0, 0.00052), (0.0, 0.10611, 0.0, 0.00052), 1.0),
    "silu": ((0.0, 0.5, 0.24999, 0.05306, 0.00571, 0.00026), (0.0, 0.10611, 0.0, 0.00052), 0.35581),
}


@layer(
    domain="any",
    summary="a learnable rational function for each group of inputs, then a linear map",
    paper="Yang and Wang 2024, Kolmogorov-Arnold Transformer, arXiv:2409.10594",
)
class GRKANLinear(nn.Module):
    r"""Group-rational KAN layer: inputs pass rational functions that groups share, then one linear map.

    .. math:: y = W\, R(x) + c, \qquad R(x_i) = \frac{a_{g0} + a_{g1} x_i + \dots + a_{g5} x_i^5}
              {1 + |b_1 x_i + \dots + b_4 x_i^4|}

    Neighbouring inputs make up a group :math:`g` with a numerator of its own; all groups share the denominator. The
    denominator is at least 1, so that there are no poles. Besides the product, a step takes some fifty
    elementwise operations on the inputs: as long as the products where there are about 256 outputs.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        groups: groups of inputs, at most one for each input. Default 8, as in the paper.
        start: the function that the rational ones start as, identity or silu. Default "silu", so that a stack of
            layers is not linear at the start; the paper starts the first layer of a block as the identity.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Attributes:
        numerator: :math:`a`, ``(6, groups)``.
        denominator: :math:`b`, ``(4,)``.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: a size is below 1, `start` is not known, or an input has another last dimension.

    Source:
        Yang and Wang 2024, Kolmogorov-Arnold Transformer, arXiv:2409.10594. Denominators without poles: Molina et al.
        2020, Padé Activation Units, arXiv:1907.06732.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        groups: int = 8,
        start: str = "silu",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, out_features=out_features, groups=groups)
        if start not in _STARTS:
            raise unknown("start", start, _STARTS)
        self.in_features, self.out_features, self.groups, self.start = in_features, out_features, groups, start
        self.numerator = nn.Parameter(torch.empty(6, min(groups, in_features), device=device, dtype=dtype))
        self.denominator = nn.Parameter(torch.empty(4, device=device, dtype=dtype))
        self.weight = nn.Parameter(torch.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(out_features, device=device, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, groups: int = 8) -> GRKANLinear:
        """The layer that computes what `linear` does: its functions start as the identity."""
        weight = linear.weight
        new = cls(
            linear.in_features, linear.out_features, groups=groups, start="identity",
            device=weight.device, dtype=weight.dtype,
        )  # fmt: skip
        with torch.no_grad():
            new.weight.copy_(weight)
            new.bias.copy_(torch.zeros_like(new.bias) if linear.bias is None else linear.bias)
        return new

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Set the functions to their start and draw weights that keep the variance of standard normal inputs."""
        above, below, square = _STARTS[self.start]
        self.numerator.copy_(self.numerator.new_tensor(above).unsqueeze(1))
        self.denominator.copy_(self.denominator.new_tensor(below))
        self.weight.normal_(std=1 / math.sqrt(square * self.in_features))
        self.bias.zero_()

    def rational(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch in_features"]:
        """The function of its group at every input."""
        kinds = self.numerator.shape[1]
        group = torch.arange(self.in_features, device=x.device) * kinds // self.in_features
        found = _Rational.apply(x, self.numerator[:, group], self.denominator)
        return found[0]  # pyright: ignore[reportOptionalSubscript]

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        return F.linear(self.rational(features(x, self.in_features)), self.weight, self.bias)

    extra_repr = described


def _polynomial(x: Tensor, coefficients: tuple[Tensor, ...]) -> Tensor:
    """The sum of ``coefficients[k] x^k``, after Horner."""
    *others, below, last = coefficients
    total = torch.addcmul(below, last, x)
    for coefficient in reversed(others):
        total = torch.addcmul(coefficient, total, x)
    return total


def _values(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The function, and what is within the absolute value."""
    inner = _polynomial(x, b.unbind()) * x
    return _polynomial(x, a.unbind()) / (inner.abs() + 1), inner


class _Rational(torch.autograd.Function):
    """The functions; keeps two tensors for their derivative, where plain operations keep twenty."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return _values(x, a, b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, a, b, y, inner = ctx.saved_tensors
        if torch.is_grad_enabled():  # a derivative of the derivative is wanted, and `inner` has none
            y, inner = _values(x, a, b)
        over = g / (inner.abs() + 1)
        under = over * y * inner.sign()
        upper, lower = (tuple(k * c for k, c in enumerate(cs, 1)) for cs in (a.unbind()[1:], b.unbind()))
        slope = torch.addcmul(over * _polynomial(x, upper), under, _polynomial(x, lower), value=-1)
        leading = tuple(range(x.ndim - 1))
        above, below = [over.sum(leading) if leading else over], []
        for k in range(1, len(a)):
            over = over * x
            above.append(over.sum(leading) if leading else over)
            if k <= len(b):
                under = under * x
                below.append(-under.sum())
        return slope, torch.stack(above), torch.stack(below)
