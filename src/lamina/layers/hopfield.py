"""Modern Hopfield layers: association, pooling and lookup by retrieval from a continuous memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch._C._functorch import maybe_current_level

from lamina.catalog import layer
from lamina.layers.arguments import described, features, positive, whole, within


def retrieve(
    query: Float[Tensor, "*batch queries size"],
    stored: Float[Tensor, "*batch patterns size"],
    *,
    beta: float,
    steps: int = 1,
    tolerance: float = 0.0,
    mask: Bool[Tensor, "*#batch #queries patterns"] | None = None,
) -> Float[Tensor, "*batch queries size"]:
    r"""What a continuous Hopfield network retrieves: every query after at most `steps` updates.

    .. math:: \xi \leftarrow X^\top \mathrm{softmax}(\beta X \xi)

    Args:
        query: the states :math:`\xi` to start from.
        stored: the patterns, the rows of :math:`X`.
        beta: inverse temperature: large values retrieve one pattern, small ones the mean of many.
        steps: updates at most. Default 1: where patterns are well apart, one is enough.
        tolerance: a query whose update is no longer than this makes no further one. Default 0.0: all make all.
        mask: True where a query may retrieve a pattern; one that may retrieve none becomes zero. Default None:
            every query may retrieve all.
    """
    state, active = query, torch.ones_like(query[..., :1], dtype=torch.bool)
    for _ in range(steps):
        new = _attend(state, stored, stored, mask, beta)
        if tolerance > 0:
            new = torch.where(active, new, state)
            active = (new - state).detach().norm(dim=-1, keepdim=True) > tolerance
            hidden = torch.compiler.is_compiling() or _stacked() or active.is_meta or type(active) is not Tensor
            if not hidden and not active.any():
                return new
        state = new
    return state


def _stacked() -> bool:
    """Whether this runs inside `torch.func.vmap` or another transform of functions."""
    return not torch.compiler.is_compiling() and maybe_current_level() is not None


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, beta: float) -> Tensor:
    """Attention, with one more dimension where `vmap` would run the fused form for four of them one by one."""
    if not _stacked():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=beta)
    mask = None if mask is None else mask[None]
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, scale=beta)[0]


class _Memory:
    """The options that association, pooling and lookup share, and what they do with queries, keys and values."""

    def __init__(
        self, out_features: int, heads: int, size: int | None, beta: float | None, steps: int, tolerance: float
    ) -> None:
        whole(out_features=out_features, heads=heads, steps=steps)
        whole(size=1 if size is None else size)
        positive(beta=1.0 if beta is None else beta)
        within(0.0, math.inf, tolerance=tolerance)
        self.heads, self.size = heads, -(-out_features // heads) if size is None else size
        self.beta, self.steps, self.tolerance = self.size**-0.5 if beta is None else beta, steps, tolerance
        self.width = self.heads * self.size

    def split(self, x: Tensor) -> Tensor:
        """(*, tokens, width) as (*, heads, tokens, size)."""
        return x.unflatten(-1, (self.heads, self.size)).transpose(-2, -3)

    def read(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """All updates of the states `q` but the last, which reads values: (*, tokens, width)."""
        mask = None if mask is None else mask.unsqueeze(-3)
        q = retrieve(q, k, beta=self.beta, steps=self.steps - 1, tolerance=self.tolerance, mask=mask)
        read = _attend(q, k, v, mask, self.beta)
        return read.transpose(-2, -3).flatten(-2)


def _draw(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> None:
    """Weights that keep the variance of standard inputs, and no biases."""
    for weight in weights:
        nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
    for bias in biases:
        nn.init.zeros_(bias)


@layer(
    domain="sets",
    summary="modern Hopfield association: tokens retrieve from stored patterns",
    paper="Ramsauer et al. 2021, Hopfield Networks is All You Need, arXiv:2008.02217",
)
class Hopfield(nn.Module):
    r"""Hopfield association: every token retrieves from stored patterns, the tokens themselves or others.

    .. math:: \xi_i = W_q x_i + b_q, \quad k_j = W_k y_j + b_k, \quad v_j = W_v y_j + b_v, \qquad
              p_{ij} = \mathrm{softmax}_j(\beta\, \xi_i^\top k_j)

    .. math:: \xi_i \leftarrow \sum_j p_{ij} k_j \text{ in all updates but the last}, \qquad
              z_i = W_o \sum_j p_{ij} v_j + b_o

    One update with :math:`\beta = 1 / \sqrt{d}` is attention. The authors' code normalises the tokens first, which
    is left to the network around the layer. An output is an average: of :math:`n` tokens, its variance starts
    at about :math:`e / n`.

    Args:
        in_features: size of a token.
        out_features: size of an output.
        heads: memories side by side. Default 1, as in the authors' code.
        size: :math:`d`, of a pattern in a head. Default None: `out_features` shared out to the heads, rounded up.
        stored_features: size of a stored pattern that is no token. Default None: `in_features`.
        beta: :math:`\beta`. Default None: :math:`1 / \sqrt{d}`.
        steps: updates at most; each after the first costs one more attention. Default 1, as in the authors' code.
        tolerance: a state whose update is no longer than this makes no further one. Default 0.0: all make all.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, tokens, out_features)``; stored patterns, if given,
        ``(*, patterns, stored_features)``; a mask ``(*, tokens, patterns)``, True where a token may retrieve.

    Raises:
        LaminaError: a size or `steps` is below 1, `beta` is not above 0, `tolerance` is below 0, or an input has
            another last dimension.

    Source:
        Ramsauer et al. 2021, Hopfield Networks is All You Need, arXiv:2008.02217.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        heads: int = 1,
        size: int | None = None,
        stored_features: int | None = None,
        beta: float | None = None,
        steps: int = 1,
        tolerance: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, stored_features=1 if stored_features is None else stored_features)
        self.in_features, self.out_features, self.heads, self.size = in_features, out_features, heads, size
        self.stored_features, self.beta, self.steps, self.tolerance = stored_features, beta, steps, tolerance
        self.memory = _Memory(out_features, heads, size, beta, steps, tolerance)
        width = self.memory.width

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.query_weight, self.query_bias = empty(width, in_features), empty(width)
        self.stored_weight, self.stored_bias = empty(2 * width, stored_features or in_features), empty(2 * width)
        self.out_weight, self.out_bias = empty(out_features, width), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw maps that keep the variance of standard inputs, without biases."""
        weights = (self.query_weight, self.stored_weight, self.out_weight)
        _draw(weights, (self.query_bias, self.stored_bias, self.out_bias))

    def forward(
        self,
        x: Float[Tensor, "*batch tokens in_features"],
        stored: Float[Tensor, "*batch patterns stored_features"] | None = None,
        mask: Bool[Tensor, "*#batch #tokens patterns"] | None = None,
    ) -> Float[Tensor, "*batch tokens out_features"]:
        q = F.linear(features(x, self.in_features), self.query_weight, self.query_bias)
        y = features(x if stored is None else stored, self.stored_features or self.in_features)
        k, v = F.linear(y, self.stored_weight, self.stored_bias).chunk(2, -1)
        split = self.memory.split
        read = self.memory.read(split(q), split(k), split(v), mask)
        return F.linear(read, self.out_weight, self.out_bias)

    extra_repr = described


class HopfieldPooling(nn.Module):
    r"""Hopfield pooling: learnt states retrieve from the tokens, so that a set of any size becomes `queries` rows.

    It is `Hopfield` with states :math:`\xi` that are parameters in place of maps of tokens.

    Args:
        in_features: size of a token.
        out_features: size of an output.
        queries: learnt states, and so rows of the output. Default 1, as in the authors' code.
        heads, size, beta, steps, tolerance: as in `Hopfield`, with the same defaults.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, tokens, in_features)`` to ``(*, queries, out_features)``; a mask ``(*, queries or 1, tokens)``, True
        where a token belongs to the set. Of an empty set the output is the bias.

    Raises:
        LaminaError: as in `Hopfield`, or `queries` is below 1.

    Source:
        Ramsauer et al. 2021, Hopfield Networks is All You Need, arXiv:2008.02217.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        queries: int = 1,
        heads: int = 1,
        size: int | None = None,
        beta: float | None = None,
        steps: int = 1,
        tolerance: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, queries=queries)
        self.in_features, self.out_features, self.queries, self.heads = in_features, out_features, queries, heads
        self.size, self.beta, self.steps, self.tolerance = size, beta, steps, tolerance
        self.memory = _Memory(out_features, heads, size, beta, steps, tolerance)
        width = self.memory.width

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.query = empty(heads, queries, self.memory.size)
        self.stored_weight, self.stored_bias = empty(2 * width, in_features), empty(2 * width)
        self.out_weight, self.out_bias = empty(out_features, width), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw standard normal states and maps that keep the variance of standard inputs, without biases."""
        nn.init.normal_(self.query)
        _draw((self.stored_weight, self.out_weight), (self.stored_bias, self.out_bias))

    def forward(
        self,
        x: Float[Tensor, "*batch tokens in_features"],
        mask: Bool[Tensor, "*#batch #queries tokens"] | None = None,
    ) -> Float[Tensor, "*batch queries out_features"]:
        k, v = F.linear(features(x, self.in_features), self.stored_weight, self.stored_bias).chunk(2, -1)
        query = self.query.expand(*x.shape[:-2], *self.query.shape)
        read = self.memory.read(query, self.memory.split(k), self.memory.split(v), mask)
        return F.linear(read, self.out_weight, self.out_bias)

    extra_repr = described


class HopfieldLookup(nn.Module):
    r"""Hopfield lookup: rows retrieve from learnt patterns, the same memory for all of them.

    It is `Hopfield` with keys :math:`k` and values :math:`v` that are parameters in place of maps of tokens; all rows
    are states of one attention. Values are drawn so that outputs of standard inputs have about unit variance.

    Args:
        in_features: number of inputs.
        out_features: number of outputs.
        patterns: learnt patterns. Default 64.
        heads, size, beta, steps, tolerance: as in `Hopfield`, with the same defaults.
        device, dtype: of the parameters, as in `torch.nn.Linear`. Default: torch's defaults.

    Shape:
        ``(*, in_features)`` to ``(*, out_features)``.

    Raises:
        LaminaError: as in `Hopfield`, or `patterns` is below 1.

    Source:
        Ramsauer et al. 2021, Hopfield Networks is All You Need, arXiv:2008.02217.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        patterns: int = 64,
        heads: int = 1,
        size: int | None = None,
        beta: float | None = None,
        steps: int = 1,
        tolerance: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        whole(in_features=in_features, patterns=patterns)
        self.in_features, self.out_features, self.patterns, self.heads = in_features, out_features, patterns, heads
        self.size, self.beta, self.steps, self.tolerance = size, beta, steps, tolerance
        self.memory = _Memory(out_features, heads, size, beta, steps, tolerance)
        width = self.memory.width

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.query_weight, self.query_bias = empty(width, in_features), empty(width)
        self.keys, self.values = empty(heads, patterns, self.memory.size), empty(heads, patterns, self.memory.size)
        self.out_weight, self.out_bias = empty(out_features, width), empty(out_features)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw normal keys and values and maps that keep the variance of standard inputs, without biases."""
        nn.init.normal_(self.keys)
        nn.init.normal_(self.values, std=math.sqrt(max(1.0, self.patterns / math.e)))
        _draw((self.query_weight, self.out_weight), (self.query_bias, self.out_bias))

    def forward(self, x: Float[Tensor, "*batch in_features"]) -> Float[Tensor, "*batch out_features"]:
        rows = features(x, self.in_features).reshape(1, math.prod(x.shape[:-1]), self.in_features)
        q = self.memory.split(F.linear(rows, self.query_weight, self.query_bias))
        read = self.memory.read(q, self.keys.unsqueeze(0), self.values.unsqueeze(0), None)
        return F.linear(read, self.out_weight, self.out_bias).view(*x.shape[:-1], self.out_features)

    extra_repr = described
