"""Checks that a module works under torch's transforms: autograd, vmap, compile, export."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException
from torch.func import functional_call, grad, stack_module_state, vmap

from lamina.testing.subject import IN, Subject, gap, require, rows


def check_gradients(subject: Subject) -> None:
    """Derivatives by input and parameters agree with finite differences in float64."""
    module, x = subject.make().double(), subject.rows(2, dtype=torch.float64).requires_grad_()
    names, values = zip(*module.named_parameters(), strict=True)

    def output(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, values, strict=True)), (x,))

    inputs = (x, *(v.detach().requires_grad_() for v in values))
    try:
        with torch.random.fork_rng(devices=[]):  # the fast mode projects on random directions
            torch.default_generator.manual_seed(0)
            torch.autograd.gradcheck(output, inputs, fast_mode=True)
    except RuntimeError as error:
        raise AssertionError(f"derivatives differ from finite differences: {error}") from error


def check_vmap(subject: Subject) -> None:
    """Three networks under `torch.func.vmap` give the outputs and gradients of the three in a loop, if they stack."""
    if not subject.system.stacks:
        return
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-10)):
        members = [subject.network(seed, dropout=0.1 * seed).to(dtype).eval() for seed in range(3)]
        x = rows(dtype=dtype)
        outputs, gradients = _stacked(members, x)
        for i, member in enumerate(members):
            difference = gap(outputs[i], member(x))
            require(difference < tolerance, f"vmap and loop differ by {difference:.1e} in {dtype}")
            for name, expected in _gradients(member, member(x).square().mean()).items():
                difference = gap(gradients[name][i], expected)
                require(difference < tolerance, f"gradients of {name} differ by {difference:.1e} in {dtype}")


def check_vmap_training(subject: Subject) -> None:
    """In training mode networks with dropout run under vmap, each with its own random numbers, if they stack."""
    if not subject.system.stacks:
        return
    members = [subject.network(0, dropout=0.5).train() for _ in range(2)]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        outputs, gradients = _stacked(members, rows(64, IN))
    require(not torch.equal(outputs[0], outputs[1]), "members with one initialisation share their random numbers")
    for name, g in gradients.items():
        require(bool(torch.isfinite(g).all()), f"the gradient of {name} is not finite")


def _stacked(members: list[nn.Module], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Outputs and gradients of the mean square of all `members` under vmap; a slow fallback is an error."""
    parameters, buffers = stack_module_state(members)

    def loss(p: dict[str, Tensor], b: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        y = functional_call(members[0], (p, b), (x,))
        return y.square().mean(), y

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*performance drop.*")
        try:
            gradients, outputs = vmap(grad(loss, has_aux=True), randomness="different")(parameters, buffers)
        except UserWarning as warning:
            raise AssertionError(f"an operation has no batching rule and is slow under vmap: {warning}") from warning
    return outputs, gradients


def check_compile(subject: Subject) -> None:
    """`torch.compile` captures the module as one graph, with the outputs and gradients of eager mode."""
    module, x = subject.make(), subject.rows()
    torch.compiler.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    try:
        y = compiled(x)
    except TorchDynamoException as error:
        raise AssertionError(f"torch.compile cannot capture one graph: {error}") from error
    require(gap(y, module(x)) < 1e-5, f"compiled and eager differ by {gap(y, module(x)):.1e}")
    ours, theirs = _gradients(module, y.sum()), _gradients(module, module(x).sum())
    for name, g in theirs.items():
        require(gap(ours[name], g) < 1e-5, f"gradients of {name} differ by {gap(ours[name], g):.1e} when compiled")


def check_export(subject: Subject) -> None:
    """`torch.export` gives a program with a free batch size that computes what the module does."""
    module = subject.make()
    try:
        program = torch.export.export(
            module, (subject.rows(),), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},)
        ).module()
    except Exception as error:
        raise AssertionError(f"torch.export fails: {type(error).__name__}: {error}") from error
    for batch in (5, 11):
        x = subject.rows(batch)
        require(
            gap(program(x), module(x)) < 1e-5,
            f"exported and eager differ by {gap(program(x), module(x)):.1e}",
        )


def _gradients(module: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters())
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(parameters, found, strict=True))
