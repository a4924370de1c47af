import torch
from torch.fx.experimental.proxy_tensor import make_fx

from lamina.training.graph import allot_memory, peak_bytes, reuse_memory, simplify

aten = torch.ops.aten


def traced(function, *tensors):
    return make_fx(function, tracing_mode="fake")(*tensors)


def targets(module):
    return [n.target for n in module.graph.nodes if n.op == "call_function"]


def check(function, *tensors):
    module = traced(function, *tensors)
    simplify(module.graph)
    module.recompile()
    torch.testing.assert_close(module(*tensors), function(*tensors))
    return targets(module)


def test_a_product_and_its_bias_become_one_operation():
    x, w, b = torch.randn(3, 5, 4), torch.randn(3, 4, 2), torch.randn(3, 1, 2)
    assert check(lambda x, w, b: torch.bmm(x, w) + b, x, w, b) == [aten.baddbmm.default]
    assert check(lambda x, w, b: b + torch.bmm(x, w), x, w, b) == [aten.baddbmm.default]


def test_a_sum_that_is_no_bias_stays():
    x, w = torch.randn(3, 5, 4), torch.randn(3, 4, 2)
    for other in (torch.randn(3, 5, 2), torch.randn(1, 1, 2), torch.randn(3, 5, 1)):
        assert aten.add.Tensor in check(lambda x, w, b: torch.bmm(x, w) + b, x, w, other)


def test_a_transposed_product_is_the_product_of_the_transposed_factors():
    x, g = torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    found = check(lambda x, g: torch.bmm(x.mT, g).mT.reshape(3, 8), x, g)
    assert aten.clone.default not in found
    assert found.count(aten.bmm.default) == 1


def test_a_product_that_is_used_twice_stays():
    x, w = torch.randn(3, 4, 4), torch.randn(3, 4, 4)
    check(lambda x, w: (lambda p: p.mT @ p)(torch.bmm(x, w)), x, w)
    check(lambda x, w: (lambda p: p + p)(torch.bmm(x, w)), x, w)


def test_what_does_nothing_is_left_out():
    x = torch.randn(3, 4)
    assert check(lambda x: (x.detach() * 1).expand(3, 4).view(3, 4) + 2, x) == [aten.add.Tensor]


def test_a_change_of_type_is_not_left_out():
    check(lambda x: x * 1.0, torch.arange(6).view(2, 3))


def test_the_peak_is_what_is_alive_at_one_time():
    x = torch.randn(1000)

    def chain(x):
        a = x + 1  # 4,000 bytes
        b = a.view(10, 100) * 2  # 4,000 more, a goes
        c = b.sum()  # 4, b goes
        return c * 3

    assert peak_bytes(traced(chain, x).graph) == 8000
    assert peak_bytes(traced(lambda x: torch.cat([x + 1, x + 2, x + 3]), x).graph) == 6 * 4000
    assert peak_bytes(traced(lambda x: x.view(10, 100).mT, x).graph) == 0


def test_elementwise_operations_write_over_what_nobody_needs():
    x = torch.randn(3, 4)

    def chain(x):
        h = x + 1
        a = h.relu()  # over h
        b = a * 2  # not over a, which is needed below
        return torch.ops.aten.threshold_backward(b, a, 0)  # over b

    module = traced(chain, x)
    reuse_memory(module.graph)
    module.recompile()
    assert targets(module) == [
        aten.add.Tensor, aten.relu_.default, aten.mul.Tensor, aten.threshold_backward.grad_input
    ]  # fmt: skip
    torch.testing.assert_close(module(x), chain(x))
    assert peak_bytes(module.graph) == 2 * 48


def test_what_is_written_over_is_whole_its_own_and_of_the_same_type():
    x = torch.randn(3, 4)
    for function in (
        lambda x: x.relu(),  # an input
        lambda x: (lambda h: (h.relu(), h))(x + 1),  # needed as a result
        lambda x: (lambda h: h[:2].relu() + h[1:])(x + 1),  # a part of what is needed
        lambda x: (x + 1) > 0,  # of another type
        lambda x: (x[:, :1] + 1) * x,  # smaller
        lambda x: (lambda h: h + h.mT)(x[:, :3] + 1),  # read in another order
        lambda x: (lambda h: h.relu() + h.view(4, 3).mT.reshape(3, 4))(x + 1),  # needed by another name
    ):
        before = x.clone()
        module = traced(function, x)
        expected = function(x)
        reuse_memory(module.graph)
        module.recompile()
        torch.testing.assert_close(module(x), expected)
        assert torch.equal(x, before)


def test_large_results_share_one_block_by_their_lifetimes():
    x, w = torch.randn(4, 64, 128), torch.randn(4, 128, 128)  # results of 128 KiB

    def chain(x, w):
        a = torch.bmm(x, w)
        b = a.sin()
        c = torch.bmm(b, w)  # a is dead
        d = c * b
        return (d.view(4, -1).mT[:2] + d.cos().sum(), c)

    module = traced(chain, x, w)
    expected = chain(x, w)
    assert allot_memory(module.graph, x.device) == 2 * 4 * 64 * 128 * 4  # a and b; then d and its cosine in a's place
    module.recompile()
    for _ in range(2):
        for ours, theirs in zip(module(x, w), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_results_that_are_returned_or_small_have_memory_of_their_own():
    x, w = torch.randn(4, 64, 128), torch.randn(4, 128, 128)
    module = traced(lambda x, w: torch.bmm(x, w).view(-1), x, w)
    assert allot_memory(module.graph, x.device) == 0
    module.recompile()
    first = module(x, w)
    assert module(2 * x, w).data_ptr() != first.data_ptr()
    assert allot_memory(traced(lambda x: (x + 1) * 2, torch.randn(3, 4)).graph, x.device) == 0
