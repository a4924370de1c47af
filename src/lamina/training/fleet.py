"""Fleets: many networks of one shape as one stacked set of tensors."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lamina.errors import LaminaError


class Fleet:
    """Networks of one shape whose parameters stand side by side, one row of a matrix per member.

    All parameters of a member lie in one row of `parameters`, so that an optimiser's step, a weight average, a
    snapshot or a norm over a member is one operation on a matrix, whatever the network is.

    Args:
        networks: at least one module; all have the same structure. They are copied.

    Attributes:
        parameters: (members, parameters of one network).
        buffers: by name, each (members, *shape).
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        if not networks:
            raise LaminaError("a fleet needs at least one network")
        stacked, self.buffers = stack_module_state(list(networks))
        self.names = list(stacked)
        self.shapes = [tensor.shape[1:] for tensor in stacked.values()]
        self.parameters = torch.cat([tensor.detach().flatten(1) for tensor in stacked.values()], dim=1)
        self.template = copy.deepcopy(networks[0]).to("meta")

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.parameters.device

    def to(self, device: torch.device) -> Fleet:
        """Move the fleet to `device` in place, and return it."""
        self.parameters = self.parameters.to(device)
        self.buffers = {name: tensor.to(device) for name, tensor in self.buffers.items()}
        return self

    def decayed(self) -> Tensor:
        """(parameters of one network,) 1 where weight decay applies (tensors of two or more dimensions), else 0."""
        return torch.cat(
            [torch.full((shape.numel(),), float(len(shape) > 1)) for shape in self.shapes],
        ).to(self.device)

    def _named(self, parameters: Tensor) -> dict[str, Tensor]:
        parts = parameters.split([shape.numel() for shape in self.shapes], dim=1)
        return {
            name: part.unflatten(1, shape) if len(shape) else part.squeeze(1)
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def forward(self, parameters: Tensor, x: Tensor, *, training: bool) -> Tensor:
        """Every member's output.

        Args:
            parameters: (members, parameters), in place of the fleet's own.
            x: (members, rows, features), each member its own rows, or (rows, features), shared.
            training: whether dropout and the like are on.

        Returns:
            (members, rows, outputs).
        """
        self.template.train(training)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(self.template, (parameters, buffers), (x,))

        shared = None if x.ndim == 2 else 0
        return vmap(one, in_dims=(0, 0, shared), randomness="different")(self._named(parameters), self.buffers, x)

    @torch.no_grad()
    def predict(self, x: Tensor, *, chunk: int = 4096) -> Tensor:
        """The members' outputs in eval mode, `chunk` rows at a time to bound the memory: (members, rows, outputs)."""
        parts = [self.forward(self.parameters, part, training=False) for part in x.split(chunk, dim=-2)]
        return torch.cat(parts, dim=1)

    def module(self, member: int) -> nn.Module:
        """One member as an ordinary module, in eval mode."""
        module = copy.deepcopy(self.template).to_empty(device=self.device)
        named = {name: tensor[member] for name, tensor in self._named(self.parameters).items()}
        values = {**named, **{name: tensor[member] for name, tensor in self.buffers.items()}}
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            tensor.data.copy_(values[name])
        return module.eval()

    def select(self, members: Sequence[int]) -> Fleet:
        """A fleet of some of the members, in the order given."""
        chosen = copy.copy(self)
        chosen.parameters = self.parameters[list(members)]
        chosen.buffers = {name: tensor[list(members)] for name, tensor in self.buffers.items()}
        return chosen
