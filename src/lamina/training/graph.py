"""Traced graphs of tensor operations: made shorter, and weighed."""

from __future__ import annotations

import itertools
import operator
from functools import cache
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
# Graphs and nodes of `torch.fx` are typed as Any: their arguments may be anything at all.
LARGE, ALIGNED = 1 << 16, 64  # bytes from which memory is worth setting aside, and of which places are multiples
_SAME_SHAPE = (aten.expand.default, aten.view.default, aten._unsafe_view.default)
_SAME_VALUE = (aten.detach.default, aten.alias.default)


def simplify(graph: Any) -> None:
    """Leave out what does nothing, and bring matrix products into the form that the libraries compute best.

    A product and the bias added to it become one operation. The transpose of a product becomes the product of the
    transposed factors, which costs nothing where a copy would follow.
    """
    for node in graph.nodes:
        if node.op == "call_function" and _does_nothing(node):
            node.replace_all_uses_with(node.args[0])
    graph.eliminate_dead_code()
    for node in graph.nodes:
        if _turns(node):
            _turn_product(graph, node)
        elif node.target == aten.add.Tensor and not node.kwargs:
            _join_bias(graph, node)
    graph.eliminate_dead_code()
    graph.lint()


def _does_nothing(node: Any) -> bool:
    if node.target in _SAME_VALUE:
        return True
    if node.target in (aten.mul.Scalar, aten.mul.Tensor):
        return (
            not isinstance(node.args[1], fx.Node)
            and node.args[1] == 1
            and node.meta["val"].dtype == node.args[0].meta["val"].dtype
        )
    return node.target in _SAME_SHAPE and node.meta["val"].shape == node.args[0].meta["val"].shape


def _turns(node: Any) -> bool:
    """Whether it transposes the matrices of a stack."""
    return node.target == aten.transpose.int and {d % node.meta["val"].ndim for d in node.args[1:]} == {1, 2}


def _product(node: object) -> bool:
    return isinstance(node, fx.Node) and node.target == aten.bmm.default and len(node.users) == 1


def _insert(graph: Any, before: Any, target: object, args: tuple, value: Tensor) -> Any:
    with graph.inserting_before(before):
        node = graph.call_function(target, args)
    node.meta["val"] = value
    return node


def _turn_product(graph: Any, node: Any) -> None:
    product = node.args[0]
    if not _product(product):
        return
    a, b = (
        x.args[0] if _turns(x) else _insert(graph, product, aten.transpose.int, (x, 1, 2), x.meta["val"].mT)
        for x in product.args
    )
    copies = [user for user in node.users if user.target == aten.clone.default]  # what they make contiguous now is
    value = copies[0].meta["val"] if copies else node.meta["val"].contiguous()
    turned = _insert(graph, product, aten.bmm.default, (b, a), value)
    for other in (*copies[:1], node):
        other.replace_all_uses_with(turned)


def _join_bias(graph: Any, node: Any) -> None:
    value = node.meta["val"]
    for bias, product in (node.args, node.args[::-1]):
        if not (_product(product) and isinstance(bias, fx.Node)):
            continue
        theirs = bias.meta["val"]
        if theirs.shape[:-1] == (len(value), 1) and theirs.dtype == product.meta["val"].dtype:
            node.replace_all_uses_with(_insert(graph, node, aten.baddbmm.default, (bias, *product.args), value))
            return


def reuse_memory(graph: Any) -> None:
    """Let elementwise operations write into an argument that nobody needs any more, instead of new memory.

    Fresh memory costs more than the arithmetic: the system hands it out page by page.
    """
    owners = _owners(graph)
    alive = _lifetimes(graph, owners)
    for at, node in enumerate(graph.nodes):
        if torch.Tag.pointwise not in getattr(node.target, "tags", ()):
            continue
        first, *others = node.args
        if not _alike(first, node.meta["val"]):
            continue
        owner = owners[first]
        shared = any(isinstance(o, fx.Node) and o is not first and owners[o] is owner for o in others)
        whole = _bytes(first) == _bytes(owner)
        if owner in alive and alive[owner][1] == at and whole and not shared and _write_into_first(node):
            alive[owner] = (alive[owner][0], alive.pop(node)[1])
            owners = {n: owner if o is node else o for n, o in owners.items()}


def _alike(node: object, value: Tensor) -> bool:
    """Whether the result of `node` has the layout of `value`."""
    if not isinstance(node, fx.Node) or not isinstance(other := node.meta["val"], Tensor):
        return False
    return (other.shape, other.stride(), other.dtype) == (value.shape, value.stride(), value.dtype)


def _write_into_first(node: Any) -> bool:
    packet, overload = node.target.overloadpacket, node.target._overloadname
    name = packet._qualified_op_name.removeprefix("aten::")
    in_place = getattr(aten, f"{name}_", None)
    if in_place is not None and overload in in_place.overloads():
        node.target = getattr(in_place, overload)
    elif "grad_input" in packet.overloads():
        node.target = packet.grad_input
        node.kwargs = {**node.kwargs, "grad_input": node.args[0]}
    else:
        return False
    return True


def allot_memory(graph: Any, device: torch.device) -> int:
    """Let large results be written into one block of memory, the same at every run; returns its bytes.

    Results that are alive at the same time have places of their own, others share: the largest choose first, each the
    lowest place that is free while it lives.
    """
    owners = _owners(graph)
    alive = _lifetimes(graph, owners)
    returned = {owners[node] for node in graph.output_node().all_input_nodes}
    found: list[Any] = []
    for node in graph.nodes:
        value = node.meta.get("val")
        if node not in alive or node in returned or not isinstance(value, Tensor) or not value.is_contiguous():
            continue
        form = _writing_form(node.target) if _bytes(node) >= LARGE else None
        if form is not None:
            found.append((-(-_bytes(node) // ALIGNED) * ALIGNED, *alive[node], node, form))
    places: list[tuple[int, int, int, int]] = []
    for size, born, dies, node, _ in sorted(found, key=lambda f: f[:2], reverse=True):
        start = 0
        for other, end, first, last in sorted(places):
            if first <= dies and born <= last and other < start + size:
                start = max(start, end)
        places.append((start, start + size, born, dies))
        node.meta["start"] = start
    total = max((end for _, end, _, _ in places), default=0)
    block = torch.empty(total, dtype=torch.uint8, device=device)
    for _, _, _, node, (form, argument) in found:
        value, start = node.meta["val"], node.meta["start"]
        part: Any = block[start : start + value.numel() * value.element_size()]
        place = part.view(value.dtype).view(value.shape)
        node.target = _into(form, argument, place)
    return total


@cache
def _writing_form(op: Any) -> tuple[Any, str] | None:
    """The overload of an operation that writes its result into a given tensor, and the name of that argument."""
    if not isinstance(op, torch._ops.OpOverload):
        return None
    plain = [(a.name, str(a.type)) for a in op._schema.arguments]
    if any(a.alias_info is not None for a in op._schema.arguments):
        return None
    for name in op.overloadpacket.overloads():
        form = getattr(op.overloadpacket, name)
        written = [a for a in form._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        rest = [(a.name, str(a.type)) for a in form._schema.arguments if a not in written]
        if len(written) == 1 and rest == plain and torch.Tag.generated not in form.tags:
            return form, written[0].name
    return None


def _into(form: Any, argument: str, place: Tensor) -> Any:
    def compute(*args: Any, **kwargs: Any) -> Tensor:
        return form(*args, **kwargs, **{argument: place})

    return compute


def _owners(graph: Any) -> dict[Any, Any]:
    """For every node the one whose memory its result lies in: itself, unless it is a view or writes into another."""
    owners: dict[Any, Any] = {}
    for node in graph.nodes:
        owners[node] = node
        if node.op == "output" or not node.all_input_nodes:
            continue
        if node.target is operator.getitem or node.target == aten._unsafe_view.default:
            owners[node] = owners[node.args[0]]
        elif isinstance(node.target, torch._ops.OpOverload):
            schema = node.target._schema
            if any(result.alias_info is not None for result in schema.returns):
                names = [a.name for a in schema.arguments if a.alias_info is not None]
                places = [k for k, a in enumerate(schema.arguments) if a.alias_info is not None]
                argument = node.kwargs[names[0]] if names[0] in node.kwargs else node.args[places[0]]
                owners[node] = owners[argument]
    return owners


def _lifetimes(graph: Any, owners: dict[Any, Any]) -> dict[Any, tuple[int, int]]:
    """For every node that makes memory: its own position and that of the last node that reads it."""
    position = {node: at for at, node in enumerate(graph.nodes)}
    alive: dict[Any, tuple[int, int]] = {}
    for node, owner in owners.items():
        if owner.op == "call_function":
            last = max((position[user] for user in node.users), default=position[node])
            alive[owner] = (position[owner], max(alive.get(owner, (0, 0))[1], last))
    return alive


def _bytes(node: Any) -> int:
    values = node.meta.get("val", ())
    tensors = [v for v in (values if isinstance(values, list | tuple) else [values]) if isinstance(v, Tensor)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def peak_bytes(graph: Any) -> int:
    """The most bytes that the results of the graph's operations hold at one time; its inputs are not counted."""
    changes = [0] * (len(graph.nodes) + 1)
    for node, (born, dies) in _lifetimes(graph, _owners(graph)).items():
        changes[born] += _bytes(node)
        changes[dies + 1] -= _bytes(node)
    return max(itertools.accumulate(changes))
