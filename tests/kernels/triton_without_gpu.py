"""Kernels of Triton without a GPU: run by its interpreter, and compiled for a GPU that is not there."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

CODE = """
import importlib, sys, torch
kernels = importlib.import_module(sys.argv[1])
cases = torch.load(sys.argv[2])
torch.save([(kernels.forward(*one), kernels.backward(*other)) for one, other in cases], sys.argv[3])
"""


def interpreted(module: str, cases: list[tuple[tuple, tuple]], folder: Path) -> list[tuple]:
    """What `forward` and `backward` of a module return for each case, a pair of their arguments.

    In a process of its own: Triton chooses the interpreter when it is imported.
    """
    given, found = folder / "given.pt", folder / "found.pt"
    torch.save(cases, given)
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", CODE, module, given, found], check=True, env=environment)
    return torch.load(found)


def compiled(kernel: Any, pointers: set[str], warps: int, **constants: Any) -> Any:
    """A kernel as machine code for a GPU of compute capability 9.0, with numbers in single precision."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    kinds = {name: "*fp32" if name in pointers else "i32" for name in kernel.arg_names}
    source = ASTSource(
        fn=kernel,
        signature=kinds | dict.fromkeys(constants, "constexpr"),
        constexprs={(kernel.arg_names.index(name),): value for name, value in constants.items()},
    )
    return compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
