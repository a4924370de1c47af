"""How much memory a fleet's training needs, and so how many members are trained at once."""

from __future__ import annotations

import copy
import re

import psutil
import torch
from torch import Tensor, nn

from lamina.errors import LaminaError

SHARE = 0.7  # of the memory that is free, for whoever does not say how much to use
# Of a network's parameters: kept, live, averaged, gradient and its parts, two moments, decay.
COPIES = 8
# Bytes that a step may hold beside the parameters. Measured on a CPU (`benchmarks/fleets.py --only sizes`): the time of
# a step for each member falls, then stays level, and beyond this rises where it did so at all.
STACK = 100_000_000
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def to_bytes(memory: float | str) -> int:
    """A size in bytes from a number or a text such as ``500MB``, ``2GB`` or ``1.5 GiB``.

    Raises:
        LaminaError: it is none.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(memory).lower())
    if not match or match[2] not in _UNITS or not float(match[1]) > 0:
        raise LaminaError(f"memory is {memory!r}, it has to be a number of bytes, or a text such as 500MB or 2GB")
    return int(float(match[1]) * _UNITS[match[2]])


def free_bytes(device: torch.device) -> int:
    """The memory that nobody uses at the moment, on a device or, for the CPU, on this machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def member_bytes(network: nn.Module, features: int, batch: int, *, penalty: bool = False) -> int:
    """An estimate of what one member of a fleet needs in training.

    `COPIES` of the parameters, the tensors that the forward pass of a batch leaves for the backward pass, and half as
    much again for gradients on their way back. The forward pass is made with tensors that have a shape and no content;
    where there is a `penalty`, that of the network is computed too.
    """
    parameters, activations = _needs(network, features, batch, penalty)
    return COPIES * parameters + activations


def _needs(network: nn.Module, features: int, batch: int, penalty: bool) -> tuple[int, int]:
    """Bytes of a member's parameters, and of what a step holds beside them."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.numel() * tensor.element_size()
        return tensor

    empty = copy.deepcopy(network).to("meta").train()
    size = sum(p.numel() * p.element_size() for p in empty.parameters())
    parameters = {p.untyped_storage()._cdata for p in empty.parameters()}
    x = torch.empty(batch, features, device="meta", dtype=next(empty.parameters()).dtype)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = empty(x)
        if penalty:
            empty.penalty(x)  # pyright: ignore[reportCallIssue]
    activations = sum(n for storage, n in kept.items() if storage not in parameters) + 4 * output.numel() * 4
    return size, int(1.5 * activations)


def members_at_once(
    network: nn.Module, features: int, batch: int, members: int, memory: int, *, penalty: bool = False
) -> int:
    """How many members, up to `members`, can be trained at once within `memory` bytes; never less than one.

    Nor are there more than `STACK` allows, so that a step takes no longer for each than it would one by one.
    """
    try:
        parameters, activations = _needs(network, features, batch, penalty)
    except Exception:  # a network whose control flow depends on its values is trained one by one anyway
        return 1
    return int(max(1, min(members, memory // (COPIES * parameters + activations), STACK // activations)))
