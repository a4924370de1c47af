"""What PyTorch has recorded to compute gradients."""

from torch import Tensor


def has_operator(y: Tensor) -> bool:
    """Whether an operator of ours stands between `y` and what it was computed from: their classes begin with _."""
    nodes, seen = [y.grad_fn], set()
    while nodes:
        node = nodes.pop()
        seen.add(type(node).__name__)
        nodes += [above for above, _ in node.next_functions if above is not None]
    return any(name.startswith("_") for name in seen)
