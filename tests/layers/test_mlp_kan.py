import pytest
import torch

from lamina.errors import LaminaError
from lamina.layers.kan import KANLinear
from lamina.layers.mlp_kan import MLPKANLinear

X = torch.randn(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def experts(layer):
    """The outputs of each expert, computed one by one, ``(experts, rows, outputs)``."""
    found, units = [], layer.sizes[0]
    for e in range(layer.dense):
        part = slice(e * units, (e + 1) * units)
        hidden = torch.nn.functional.silu(X @ layer.into.weight[part].T + layer.into.bias[part])
        found.append(hidden @ layer.out.weight[:, part].T)
    for e in range(layer.kan):
        part = torch.arange(e * layer.sizes[-1], (e + 1) * layer.sizes[-1])
        first = layer.splines.part(part, torch.arange(4))
        second = layer.more_splines.part(torch.arange(layer.out_features), part)
        found.append(second(first(X)))
    return torch.stack(found)


@pytest.mark.parametrize(("dense", "kan", "active"), [(2, 2, 2), (3, 1, 4), (0, 3, 1), (2, 0, 2)])
def test_is_the_sum_of_its_experts(dense, kan, active):
    torch.manual_seed(0)
    layer = MLPKANLinear(4, 3, dense=dense, kan=kan, active=active, hidden=6).double()
    torch.nn.init.normal_(layer.bias)
    expected = torch.einsum("be,ebo->bo", layer.gate(X), experts(layer)) + layer.bias
    torch.testing.assert_close(layer(X), expected)


@pytest.mark.parametrize("active", [1, 2, 3])
def test_gate_keeps_the_largest_scores(active):
    torch.manual_seed(0)
    layer = MLPKANLinear(4, 3, active=active).double()
    weights = layer.gate(X)
    torch.testing.assert_close(weights.sum(-1), torch.ones(12, dtype=torch.float64))
    assert ((weights > 0).sum(-1) == active).all()
    kept = layer.scores(X).topk(active).indices
    assert (weights.gather(-1, kept) > 0).all()


def test_one_kan_alone_is_a_kan():
    torch.manual_seed(0)
    layer = MLPKANLinear(4, 3, dense=0, kan=1, active=1, hidden=4).double()
    assert isinstance(layer.splines, KANLinear)
    torch.testing.assert_close(layer(X), layer.more_splines(layer.splines(X)))


@pytest.mark.parametrize(("dense", "kan"), [(2, 2), (4, 0), (0, 4)])
def test_has_unit_variance(dense, kan):
    torch.manual_seed(0)
    y = MLPKANLinear(128, 128, dense=dense, kan=kan)(torch.randn(500, 128))
    assert y.var().item() == pytest.approx(1.0, abs=0.25)


def test_active_experts_have_to_be_there():
    with pytest.raises(LaminaError, match="active"):
        MLPKANLinear(4, 3, dense=1, kan=0)
