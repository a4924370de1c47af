"""Traced graphs of tensor operations: made shorter, and weighed."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, fx

aten = torch.ops.aten
_SAME_SHAPE = (aten.expand.default, aten.view.default, aten._unsafe_view.default)
_SAME_VALUE = (aten.detach.default, aten.alias.default)


def simplify(graph: fx.Graph) -> None:
    """Leave out what does nothing, and bring matrix products into the form that the libraries compute best.

    A product and the bias added to it become one operation. The transpose of a product becomes the product of the
    transposed factors, which costs nothing where a copy would follow.
    """
    for node in graph.nodes:
        if node.op == "call_function" and _does_nothing(node):
            node.replace_all_uses_with(node.args[0])
    graph.eliminate_dead_code()
    for node in graph.nodes:
        if node.target == aten.transpose.int and sorted(node.args[1:]) == [1, 2]:
            _turn_product(graph, node)
        elif node.target == aten.add.Tensor and not node.kwargs:
            _join_bias(graph, node)
    graph.eliminate_dead_code()
    graph.lint()


def _does_nothing(node: fx.Node) -> bool:
    if node.target in _SAME_VALUE:
        return True
    if node.target == aten.mul.Scalar:
        return node.args[1] == 1 and node.meta["val"].dtype == node.args[0].meta["val"].dtype
    return node.target in _SAME_SHAPE and node.meta["val"].shape == node.args[0].meta["val"].shape


def _product(node: object) -> bool:
    return isinstance(node, fx.Node) and node.target == aten.bmm.default and len(node.users) == 1


def _insert(graph: fx.Graph, before: fx.Node, target: object, args: tuple, value: Tensor) -> fx.Node:
    with graph.inserting_before(before):
        node = graph.call_function(target, args)  # pyright: ignore[reportArgumentType]
    node.meta["val"] = value
    return node


def _turn_product(graph: fx.Graph, node: fx.Node) -> None:
    product = node.args[0]
    if not _product(product):
        return
    a, b = (
        x.args[0] if x.target == aten.transpose.int and sorted(x.args[1:]) == [1, 2]
        else _insert(graph, product, aten.transpose.int, (x, 1, 2), x.meta["val"].mT)
        for x in product.args
    )
    turned = _insert(graph, product, aten.bmm.default, (b, a), node.meta["val"].contiguous())
    node.replace_all_uses_with(turned)


def _join_bias(graph: fx.Graph, node: fx.Node) -> None:
    for bias, product in (node.args, node.args[::-1]):
        if _product(product) and isinstance(bias, fx.Node) and bias.meta["val"].shape[:-1] == (len(node.meta["val"]), 1):
            joined = _insert(graph, node, aten.baddbmm.default, (bias, *product.args), node.meta["val"])
            node.replace_all_uses_with(joined)
            return


def peak_bytes(graph: fx.Graph) -> int:
    """The most bytes that the results of the graph's operations hold at one time; its inputs are not counted."""
    position = {node: i for i, node in enumerate(graph.nodes)}
    sizes, born, dies = {}, {}, defaultdict(int)
    for node, at in position.items():
        values = node.meta.get("val", ())
        for value in values if isinstance(values, list | tuple) else (values,):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                sizes[storage._cdata] = 0 if node.op == "placeholder" else sizes.get(storage._cdata, storage.nbytes())
                born.setdefault(storage._cdata, at)
                last = max((position[user] for user in node.users), default=at)
                dies[storage._cdata] = max(dies[storage._cdata], last)
    changes = [0] * (len(position) + 1)
    for storage, size in sizes.items():
        changes[born[storage]] += size
        changes[dies[storage] + 1] -= size
    held = peak = 0
    for change in changes:
        held += change
        peak = max(peak, held)
    return peak
