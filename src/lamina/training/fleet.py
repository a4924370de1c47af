"""Fleets: many networks of one shape as one stacked set of tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from lamina.errors import LaminaError


class _Penalty(nn.Module):
    """A network's penalty as what a module computes: one number."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        found = self.network.penalty(x)  # pyright: ignore[reportCallIssue]
        if not isinstance(found, Tensor) or found.ndim:
            kind = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"type {type(found).__name__}"
            raise LaminaError(
                f"the penalty of {type(self.network).__name__} has {kind}, it has to be a tensor of one number"
            )
        return found


class Fleet:
    """Networks of one shape whose parameters stand side by side, one row of a matrix per member.

    All parameters of a member lie in one row of `parameters`, so that an optimiser's step, a weight average, a
    snapshot or a norm over a member is one operation on a matrix, whatever the network is. Parameters that require no
    gradient stand with the buffers.

    Args:
        networks: at least one module; all have the same structure. They are copied.

    Attributes:
        parameters: (members, parameters of one network).
        buffers: by name, each (members, *shape).
        stacks: whether all members are computed at once; False where a system of the catalogue says that it cannot.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        if not networks:
            raise LaminaError("a fleet needs at least one network")
        stacked, self.buffers = stack_module_state(list(networks))
        frozen = [name for name, parameter in networks[0].named_parameters() if not parameter.requires_grad]
        self.buffers |= {name: stacked.pop(name).detach() for name in frozen}
        if not stacked:
            raise LaminaError(f"{type(networks[0]).__name__} has no parameters to train")
        self.names = list(stacked)
        self.shapes = [tensor.shape[1:] for tensor in stacked.values()]
        self.parameters = torch.cat([tensor.detach().flatten(1) for tensor in stacked.values()], dim=1)
        self.template = copy.deepcopy(networks[0]).to("meta")
        declared = [getattr(type(module), "__lamina__", None) for module in networks[0].modules()]
        self.stacks = all(system is None or system.stacks for system in declared)

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def name(self) -> str:
        """What its networks are."""
        return type(self.template).__name__

    @property
    def chunk(self) -> int:
        """How many rows to evaluate at a time: enough to keep the cores busy, few enough to stay near their caches."""
        return max(64, 2048 // len(self))

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
            [torch.full((shape.numel(),), float(len(shape) > 1), dtype=self.parameters.dtype) for shape in self.shapes],
        ).to(self.device)

    def _named(self, parameters: Tensor) -> dict[str, Tensor]:
        parts = parameters.split([shape.numel() for shape in self.shapes], dim=1)
        return {
            name: part.unflatten(1, shape) if len(shape) else part.squeeze(1)
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def forward(
        self, parameters: Tensor, x: Tensor, *, training: bool, buffers: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Every member's output.

        Args:
            parameters: (members, parameters), in place of the fleet's own.
            x: (members, rows, features), each member its own rows, or (rows, features), shared.
            training: whether dropout and the like are on.
            buffers: in place of the fleet's own.

        Returns:
            (members, rows, outputs).
        """
        template = self.template.train(training)

        def output(state: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(template, state, (x,))

        return self._each(output, parameters, x, buffers)

    def penalty(self, parameters: Tensor, x: Tensor, *, buffers: dict[str, Tensor] | None = None) -> Tensor:
        """(members,) what every member's own ``penalty(x)`` says of its rows, in training mode; as in `forward`."""
        template = _Penalty(self.template.train())

        def penalty(state: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(template, {f"network.{name}": tensor for name, tensor in state.items()}, (x,))

        return self._each(penalty, parameters, x, buffers)

    def _each(
        self,
        one: Callable[[dict[str, Tensor], Tensor], Tensor],
        parameters: Tensor,
        x: Tensor,
        buffers: dict[str, Tensor] | None,
    ) -> Tensor:
        """What `one` makes of the parameters and buffers of every member, and of its rows."""
        state = self._named(parameters) | (self.buffers if buffers is None else buffers)
        if self.stacks:
            shared = None if x.ndim == 2 else 0
            with sdpa_kernel(SDPBackend.MATH):  # the one form of attention that vmap does not run member by member
                return vmap(one, in_dims=(0, shared), randomness="different")(state, x)
        members = [{name: tensor[i] for name, tensor in state.items()} for i in range(len(parameters))]
        return torch.stack([one(member, x if x.ndim == 2 else x[i]) for i, member in enumerate(members)])

    @torch.no_grad()
    def predict(self, x: Tensor, *, chunk: int | None = None) -> Tensor:
        """The members' outputs in eval mode, `chunk` rows at a time to bound the memory: (members, rows, outputs)."""
        parts = x.split(chunk or self.chunk, dim=-2)
        return torch.cat([self.forward(self.parameters, part, training=False) for part in parts], dim=1)

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

    @classmethod
    def join(cls, fleets: Sequence[Fleet]) -> Fleet:
        """One fleet of all members of several, in their order."""
        joined = copy.copy(fleets[0])
        if len(fleets) > 1:
            joined.parameters = torch.cat([fleet.parameters for fleet in fleets])
            joined.buffers = {name: torch.cat([f.buffers[name] for f in fleets]) for name in fleets[0].buffers}
        return joined
