import threading

import pytest
import torch

from lamina.kernels.scratch import scratch, tiles
from lamina.kernels.spline_linear import spline_linear


def test_memory_is_kept_by_type_and_by_thread_and_grows():
    like, found = torch.ones(1), []
    first = scratch(like, 100)
    assert scratch(like, 50).data_ptr() == first.data_ptr()
    assert scratch(like.double(), 50).dtype == torch.float64
    assert len(scratch(like, 10_000_000)) >= 10_000_000
    thread = threading.Thread(target=lambda: found.append(scratch(like, 50).data_ptr()))
    thread.start()
    thread.join()
    assert found[0] != scratch(like, 50).data_ptr()


def test_memory_of_inference_serves_training():
    x = torch.randn(6, 3, dtype=torch.float64)
    low, scale = torch.full((3,), -2.0, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    weight, found = torch.ones(2, 9, 3, dtype=torch.float64), []

    def both() -> None:
        with torch.inference_mode():
            spline_linear(x, low, scale, weight, 5, 3)
        found.append(spline_linear(x.clone().requires_grad_(), low, scale, weight, 5, 3).isfinite().all())

    thread = threading.Thread(target=both)  # a new one holds no memory yet
    thread.start()
    thread.join()
    assert found == [True]


@pytest.mark.parametrize(("members", "rows"), [(1, 1), (3, 7), (5, 2), (2, 40), (1, 100), (0, 3), (3, 0)])
def test_parts_are_all_rows_of_all_members_once(members, rows, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    x = torch.arange(members * rows * 4).view(members, rows, 4)
    factor = torch.arange(members).view(members, 1, 1)
    copied, firsts = torch.zeros_like(x), 0
    for (x_, copied_), (factor_,), first, memory in tiles((x, copied), (factor,), 3, 64):
        assert (memory.numel(), memory.dtype, x_.numel() <= 64) == (3 * x_.numel(), torch.int64, True)
        copied_ += x_ * factor_
        firsts += first * len(x_)
    torch.testing.assert_close(copied, x * factor)
    assert firsts == members * (rows > 0)
