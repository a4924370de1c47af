"""Checks of what a module computes: shapes, types, devices, determinism, state."""

from __future__ import annotations

import copy

import torch
from torch import nn

from lamina.testing.subject import IN, OUT, Subject, gap, require, rows


def check_shapes(subject: Subject) -> None:
    """``(batch, in_features)`` becomes ``(batch, out_features)``; a layer takes any leading dimensions."""
    leading = [(5,), (1,), (2, 3), ()] if subject.is_layer else [(5,), (1,)]
    module = subject.make()
    for shape in leading:
        given, wanted = (*shape, *subject.frame, IN), (*shape, *subject.frame, OUT)
        found = tuple(module(rows(*given)).shape)
        require(found == wanted, f"input {given} gives {found}, not {wanted}")


def check_empty_batch(subject: Subject) -> None:
    """No rows give no rows, and a backward pass through them gives zero gradients."""
    module = subject.make()
    x, wanted = subject.rows(0), (0, *subject.frame, OUT)
    y = module(x)
    require(tuple(y.shape) == wanted, f"input {tuple(x.shape)} gives {tuple(y.shape)}, not {wanted}")
    y.sum().backward()
    for name, p in module.named_parameters():
        require(p.grad is None or not p.grad.any(), f"an empty batch gives {name} a gradient that is not zero")


def check_layout(subject: Subject) -> None:
    """An input whose numbers do not lie in order in memory gives what its copy gives."""
    module, x = subject.make().double(), subject.rows(dtype=torch.float64)
    for other in (torch.stack([x, x], dim=-1)[..., 0], x.mT.contiguous().mT):
        ours, theirs = ((y := module(z.requires_grad_()), torch.autograd.grad(y.sum(), z)[0]) for z in (other, x))
        difference = max(map(gap, ours, theirs))
        require(difference < 1e-10, f"an input that is not contiguous gives numbers that differ by {difference:.1e}")


def check_rows_are_independent(subject: Subject) -> None:
    """In evaluation mode the output of a row is the same alone and within any batch."""
    module, x = subject.make().double(), subject.rows(dtype=torch.float64)
    batch = module(x)
    alone = torch.cat([module(row) for row in x.split(1)])
    require(gap(alone, batch) < 1e-10, f"a row alone and the row in a batch differ by {gap(alone, batch):.1e}")


def check_order_does_not_matter(subject: Subject) -> None:
    """A layer on sets gives permuted outputs for permuted tokens."""
    if not subject.frame or subject.system.domain != "sets":
        return
    module, x = subject.make().double(), subject.rows(dtype=torch.float64)
    order = torch.randperm(x.shape[-2], generator=torch.Generator().manual_seed(0))
    difference = gap(module(x[:, order]), module(x)[:, order])
    require(difference < 1e-10, f"permuted tokens change the outputs by {difference:.1e}")


def check_dtype(subject: Subject) -> None:
    """The output has the type of input and parameters; float32, bfloat16 and its autocast stay near float64."""
    x = subject.rows(dtype=torch.float64)
    exact = subject.make().double()(x)
    require(exact.dtype == torch.float64, f"float64 parameters and input give {exact.dtype}")
    module = subject.make()
    single = module(x.float())
    require(single.dtype == torch.float32, f"float32 parameters and input give {single.dtype}")
    require(gap(single, exact) < 1e-4, f"float32 is {gap(single, exact):.1e} from float64")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(x.float())
    require(gap(mixed, exact) < 0.1, f"bfloat16 autocast is {gap(mixed, exact):.1e} from float64")
    half = subject.make().bfloat16()(x.bfloat16())
    require(half.dtype == torch.bfloat16, f"bfloat16 parameters and input give {half.dtype}")
    require(gap(half, exact) < 0.1, f"bfloat16 is {gap(half, exact):.1e} from float64")


def check_device(subject: Subject) -> None:
    """Works on every device there is, and on the meta device, where nothing is allocated."""
    expected = subject.make()(subject.rows())
    devices = [d for d, there in (("cuda", torch.cuda.is_available()), ("mps", torch.mps.is_available())) if there]
    for device in ("cpu", *devices):
        y = subject.make().to(device)(subject.rows().to(device))
        require(y.device.type == device, f"an input on {device} gives an output on {y.device}")
        require(gap(y, expected) < 1e-4, f"{device} differs from the processor by {gap(y, expected):.1e}")
    with torch.device("meta"):
        module = subject.cls(**subject.arguments())
    held = [name for name, t in [*module.named_parameters(), *module.named_buffers()] if not t.is_meta]
    require(not held, f"made on the meta device, these tensors are elsewhere: {', '.join(held)}")
    y = module.eval()(subject.rows().to("meta"))
    require(
        y.is_meta and tuple(y.shape) == (5, *subject.frame, OUT),
        f"on the meta device the output is {y.device} {tuple(y.shape)}",
    )


def check_evaluation_is_deterministic(subject: Subject) -> None:
    """In evaluation mode two calls agree, use no random numbers and change neither state nor input."""
    module, x = subject.make(), subject.rows()
    before, given, generator = _state(module), x.clone(), torch.get_rng_state()
    first = module(x)
    second = module(x)
    require(torch.equal(first, second), f"two calls differ by {gap(first, second):.1e}")
    require(torch.equal(generator, torch.get_rng_state()), "a call in evaluation mode draws random numbers")
    require(torch.equal(given, x), "the input is changed in place")
    for name, old in before.items():
        require(torch.equal(old, _state(module)[name]), f"a call in evaluation mode changes {name}")


def check_seed(subject: Subject) -> None:
    """The same seed gives the same weights, another seed others."""
    one, same, other = (_state(subject.make(seed)) for seed in (0, 0, 1))
    for name, value in one.items():
        require(torch.equal(value, same[name]), f"{name} differs between two instances of one seed")
    require(any(not torch.equal(value, other[name]) for name, value in one.items()), "the seed changes no weight")


def check_reset(subject: Subject) -> None:
    """`reset_parameters` of a layer draws new weights, the ones that a new layer of that seed would have."""
    if not subject.is_layer:
        return
    fresh, module = _state(subject.make(seed=1)), subject.make(seed=0)
    old = _state(module)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        module.reset_parameters()  # type: ignore[operator]
    for name, value in _state(module).items():
        require(torch.equal(value, fresh[name]), f"after reset_parameters {name} is not as in a new layer")
    require(any(not torch.equal(v, old[k]) for k, v in fresh.items()), "reset_parameters changes no weight")


def check_state_dict(subject: Subject) -> None:
    """A loaded state_dict and a deep copy give the same outputs; the copy shares nothing."""
    module, x = subject.make(seed=0), subject.rows()
    expected = module(x)
    other = subject.make(seed=1)
    other.load_state_dict(module.state_dict(), strict=True)
    require(torch.equal(other(x), expected), "an instance with the loaded state_dict gives other outputs")
    twin = copy.deepcopy(module)
    require(torch.equal(twin(x), expected), "a deep copy gives other outputs")
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
    require(torch.equal(module(x), expected), "a deep copy shares parameters with its original")


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: t.detach().clone() for name, t in [*module.named_parameters(), *module.named_buffers()]}
