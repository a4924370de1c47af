import threading

import torch

from lamina.kernels.scratch import scratch
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
