import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.networks.functions.resfields import ResFieldLinear, ResFields

FRAMES, RANK = 5, 3


def drawn(frames: int = FRAMES) -> ResFieldLinear:
    layer = ResFieldLinear(4, 2, frames=frames, rank=RANK, dtype=torch.float64).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        parameter.normal_(generator=generator)
    return layer


def inputs(n: int = FRAMES) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_frame(layer: ResFieldLinear, x: torch.Tensor) -> torch.Tensor:
    """The formula, with a weight matrix for each frame; x has a row for each."""
    matrices = layer.basis.unflatten(-1, (RANK, 4))
    weights = layer.weight + torch.einsum("tr,ori->toi", layer.coefficients, matrices)
    return torch.einsum("toi,ti->to", weights, x) + layer.bias


def test_each_frame_has_its_own_weights():
    layer, x = drawn(), inputs()
    torch.testing.assert_close(layer(x, torch.linspace(-1, 1, FRAMES).double()), by_frame(layer, x))


@given(st.integers(0, FRAMES - 2), st.floats(0, 1))
def test_is_linear_in_time_between_frames(frame, share):
    layer, x, times = drawn(), inputs(1), torch.linspace(-1, 1, FRAMES, dtype=torch.float64)
    between = torch.lerp(times[frame], times[frame + 1], share)
    expected = torch.lerp(layer(x, times[frame, None]), layer(x, times[frame + 1, None]), share)
    torch.testing.assert_close(layer(x, between[None]), expected)


def test_times_outside_have_the_nearest_frame():
    layer, x, ends = drawn(), inputs(2), torch.tensor([-1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(layer(x, 7 * ends), layer(x, ends))


def test_one_frame_is_a_dense_layer_at_every_time():
    layer, x = drawn(frames=1), inputs(2)
    alike = layer(x[:1].expand(2, -1), torch.tensor([-1.0, 0.3], dtype=torch.float64))
    torch.testing.assert_close(alike[0], alike[1])
    torch.testing.assert_close(alike[:1], by_frame(layer, x[:1]))


def test_from_linear_computes_the_same_and_learns_times():
    linear, x, time = torch.nn.Linear(4, 3), torch.randn(7, 4), torch.rand(7)
    layer = ResFieldLinear.from_linear(linear, frames=3)
    torch.testing.assert_close(layer(x, time), linear(x))
    layer(x, time).sum().backward()
    assert layer.basis.grad is not None
    assert layer.basis.grad.abs().max() > 0


def test_a_batch_has_any_shape():
    layer, x, time = drawn(), inputs(6), torch.linspace(-1, 1, 6).double()
    flat = layer(x, time)
    torch.testing.assert_close(layer(x.view(2, 3, 4), time.view(2, 3)), flat.view(2, 3, 2))


def test_angles_have_unit_variance_at_the_start():
    network = ResFields(3, 1, width=128, depth=4)
    x = 2 * torch.rand(2_000, 3, generator=torch.Generator().manual_seed(0)) - 1
    h = network.first(x).sin()
    for layer in network.hidden:
        angle = layer(h, x[:, -1])
        assert 0.7 < angle.var() < 1.4
        h = angle.sin()


def test_the_last_column_is_the_time_of_all_residuals():
    network = ResFields(2, 1, width=8, frames=3, dropout=0.0)
    torch.nn.init.zeros_(network.first.weight[:, 1])
    x = torch.tensor([[0.3, -1.0], [0.3, 0.0], [0.3, 0.0]])
    with torch.no_grad():
        network.hidden[0].coefficients[0] += 1
    y = network(x)
    assert y[1] == y[2]
    assert y[0] != y[1]


def test_arguments_are_checked():
    with pytest.raises(LaminaError, match="depth"):
        ResFields(2, 1, width=4, depth=1)
    with pytest.raises(LaminaError, match="rank"):
        ResFieldLinear(2, 1, rank=0)
