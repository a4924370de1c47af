"""Where to compute."""

from __future__ import annotations

import torch

from lamina.errors import LaminaError


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``auto`` is CUDA where there is one, then Apple's MPS, then the CPU.

    Raises:
        LaminaError: the name is not a device's, or this machine has no such device.
    """
    present = ["cpu"]
    if torch.cuda.is_available():
        present.append("cuda")
    if torch.backends.mps.is_available():
        present.append("mps")
    if name == "auto":
        return torch.device("cuda" if "cuda" in present else present[-1])
    if name.partition(":")[0] not in present:
        raise LaminaError(f"device {name!r} is not here; this machine has {', '.join(['auto', *present])}")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise LaminaError(f"device {name!r} is none; write cpu, cuda or cuda:0") from error
