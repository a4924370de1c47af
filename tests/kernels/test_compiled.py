import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch

from lamina.catalog import find
from lamina.kernels import _compiled
from lamina.kernels._compiled import compiled, exp, least, most, sincos, sincos_reaches


@compiled
def exponentials(x, out):
    for i in range(len(x)):
        out[i] = exp(x[i])


@compiled
def circle(x, sines, cosines):
    for i in range(len(x)):
        sines[i], cosines[i] = sincos(x[i])
    return sincos_reaches(x)


@compiled
def extremes(x):
    return least(x), most(x)


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float32, 2e-7), (np.float64, 1e-15)])
def test_exponential_function(kind, tolerance):
    x = np.linspace(-80, 80, 10_001, dtype=kind)
    out = np.empty_like(x)
    exponentials(x, out)
    np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=tolerance)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_exponential_function_of_what_is_large_or_not_a_number(kind):
    x = np.array([np.nan, np.inf, -np.inf, 1_000, -1_000, 0], kind)
    out = np.empty_like(x)
    exponentials(x, out)
    np.testing.assert_array_equal(out, [np.nan, np.inf, 0, np.inf, 0, 1])


@pytest.mark.parametrize(("kind", "end"), [(np.float32, 2.0**13), (np.float64, 2.0**20)])
def test_sine_and_cosine(kind, end):
    """To a rounding of the larger of both, also next to multiples of a quarter of the circle."""
    quarters = np.arange(1, 5_000) * (np.pi / 2)
    x = np.concatenate([[0.0, end, -end], np.linspace(-end, end, 100_001), np.linspace(-9, 9, 10_001), quarters])
    x = x.astype(kind)
    sines, cosines = np.empty_like(x), np.empty_like(x)
    assert circle(x, sines, cosines)
    eps, precise = np.finfo(kind).eps, x.astype(np.longdouble)
    np.testing.assert_allclose(sines, np.sin(precise), rtol=0, atol=eps)
    np.testing.assert_allclose(cosines, np.cos(precise), rtol=0, atol=eps)
    small = np.linspace(-0.7, 0.7, 1_001).astype(kind)
    sines, cosines = np.empty_like(small), np.empty_like(small)
    circle(small, sines, cosines)
    np.testing.assert_allclose(sines, np.sin(small.astype(np.longdouble)), rtol=eps)


@pytest.mark.parametrize(("kind", "end"), [(np.float32, 2.0**13), (np.float64, 2.0**20)])
def test_sine_and_cosine_say_where_they_end(kind, end):
    for far in (np.nextafter(kind(end), kind(np.inf)), -np.inf, np.nan):
        x = np.array([0, far, 1], kind)
        assert not circle(x, np.empty_like(x), np.empty_like(x))


def test_extremes():
    x = np.random.default_rng(0).standard_normal(1_000)
    assert extremes(x) == (x.min(), x.max())
    assert extremes(x[:1]) == (x[0], x[0])


def test_a_loop_works_where_there_is_no_folder_to_keep_it(monkeypatch):
    def refuse(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit

    monkeypatch.setattr(_compiled, "_compiler", refuse)
    assert compiled(lambda x: x + 1)(2) == 3


@pytest.mark.parametrize("name", ["kan", "gr_kan", "af_kan", "matrix_exp", "skan", "fan"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_a_number_is_not_lost_and_no_row_touches_another(name, bad):
    torch.manual_seed(0)
    layer, x = find(name).load()(4, 3), torch.randn(6, 4)
    clean = layer(x)
    x[2, 1] = bad
    y = layer(x)
    assert not y[2].isfinite().all() or (name, bad) == ("af_kan", torch.inf)  # there the limit is finite
    torch.testing.assert_close(y[[0, 1, 3, 4, 5]], clean[[0, 1, 3, 4, 5]])


PLAIN = """
import torch
from lamina.catalog import find
torch.manual_seed(0)
for name in ("kan", "gr_kan", "af_kan", "matrix_exp", "skan", "snnk"):
    layer = find(name).load()(3, 2).double()
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    found = [y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])]
    print(name, *(t.sum().item() for t in found))
"""


def test_loops_compute_the_same_when_they_are_not_compiled():
    """Python itself runs them where a variable of Numba says so, which is how to debug them."""
    outputs = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        done = subprocess.run(
            [sys.executable, "-c", PLAIN], env=environment, capture_output=True, text=True, check=True
        )
        outputs.append([line.split() for line in done.stdout.splitlines()])
    for compiled_line, plain_line in zip(*outputs, strict=True):
        assert compiled_line[0] == plain_line[0]
        np.testing.assert_allclose(*(np.array(line[1:], float) for line in (compiled_line, plain_line)), rtol=1e-9)
