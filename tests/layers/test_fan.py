import numpy as np
import pytest
import torch

from lamina.layers import FANLinear


def test_formula():
    layer = FANLinear(5, 8, periodic=0.25, activation="tanh").double()
    torch.nn.init.normal_(layer.bias)
    x = np.random.default_rng(0).normal(size=(6, 5))
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    angle, dense = x @ w[:2].T, np.tanh(x @ w[2:].T + b)
    expected = np.concatenate([np.cos(angle), np.sin(angle), dense], axis=1)
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-12)


@pytest.mark.parametrize(("out", "periodic", "waves"), [(8, 0.25, 2), (1, 0.25, 0), (7, 0.5, 3), (8, 0.0, 0)])
def test_outputs_are_shared_out(out, periodic, waves):
    layer = FANLinear(3, out, periodic=periodic)
    assert (layer.waves, layer.bias.numel()) == (waves, out - 2 * waves)
    assert layer(torch.zeros(3))[:waves].tolist() == [1.0] * waves


def test_has_fewer_parameters_than_a_dense_layer():
    assert sum(p.numel() for p in FANLinear(64, 64).parameters()) == 48 * 64 + 32
