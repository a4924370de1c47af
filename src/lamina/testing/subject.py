"""What the conformance kit looks at: a layer or a network, and how to make one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lamina.catalog import TOKENS, System, find
from lamina.networks.factory import create

IN, OUT, WIDTH, LENGTH = 4, 3, 8, 6


@dataclass(frozen=True)
class Subject:
    """A system under test.

    Attributes:
        system: its facts.
        cls: its class.
    """

    system: System
    cls: type[nn.Module]

    @classmethod
    def of(cls, system: str | type[nn.Module]) -> Subject:
        """The system of that name, or the class that carries a declaration of the catalogue."""
        if isinstance(system, str):
            return cls(find(system), find(system).load())
        return cls(getattr(system, "__lamina__"), system)  # noqa: B009

    @property
    def is_layer(self) -> bool:
        """Whether it is a drop-in layer; else it is a network."""
        return self.system.kind == "layer"

    @property
    def frame(self) -> tuple[int, ...]:
        """The dimensions between the leading ones and the features: the number of tokens, of a layer on tokens."""
        return (LENGTH,) if self.is_layer and self.system.domain in TOKENS else ()

    def arguments(self, **changed: Any) -> dict[str, Any]:
        """Arguments that make a small instance: 4 inputs, 3 outputs, 6 tokens and, of a network, width 8."""
        size = {"tokens": LENGTH} if "tokens" in self.options() else {}
        size |= {} if self.is_layer else {"width": WIDTH}
        return {"in_features": IN, "out_features": OUT, **size, **changed}

    def options(self) -> dict[str, inspect.Parameter]:
        """The constructor's arguments other than device and dtype."""
        found = inspect.signature(self.cls).parameters
        return {name: p for name, p in found.items() if name not in ("device", "dtype")}

    def make(self, seed: int = 0, **changed: Any) -> nn.Module:
        """A small instance of the class in evaluation mode, its weights drawn with `seed`."""
        return seeded(seed, lambda: self.cls(**self.arguments(**changed))).eval()

    def rows(self, *leading: int, last: int = IN, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal input of the class, the same at every call: 5 rows unless `leading` says more."""
        return rows(*(leading or (5,)), *self.frame, last, dtype=dtype)

    def network(self, seed: int = 0, **changed: Any) -> nn.Module:
        """The system as a whole network, through `lamina.networks.create`."""
        size = {} if "params" in changed else {"width": WIDTH}
        return create(self.cls, **{"in_features": IN, "out_features": OUT, "seed": seed, **size, **changed})


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` returns when torch's generator starts from `seed`, and the generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return make()


def rows(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Standard normal numbers, the same at every call; the default shape is 5 rows of 4."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (5, IN), generator=generator, dtype=torch.float64).to(dtype)


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference of two tensors, over the largest entry of the second if that is above 1."""
    if a.shape != b.shape:
        raise AssertionError(f"shapes {tuple(a.shape)} and {tuple(b.shape)} differ")
    if a.numel() == 0:
        return 0.0
    a, b = a.detach().double().cpu(), b.detach().double().cpu()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1.0))


def require(condition: object, message: str) -> None:
    """Raise an `AssertionError` with `message`, also under ``python -O``, unless `condition` holds."""
    if not condition:
        raise AssertionError(message)
