import pytest
import torch

from lamina.errors import LaminaError
from lamina.layers.bases import BASES
from lamina.layers.kan import KANLinear
from lamina.layers.skan import SKANLinear
from lamina.training import Member, Recipe, Setting, fit

X = 1.5 * torch.randn(20, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def drawn(**options):
    torch.manual_seed(0)
    layer = SKANLinear(5, 3, **options).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.mix)
    return layer


@pytest.mark.parametrize("basis", BASES)
def test_a_pool_of_one_is_a_kan(basis):
    layer, kan = drawn(pool=[basis]), KANLinear(5, 3, basis=basis).double()
    with torch.no_grad():
        kan.weight.copy_(torch.cat([layer.base, layer.weight[:, 0]], dim=1))
    torch.testing.assert_close(layer(X), kan(X))


def test_mixes_bases():
    layer = drawn()
    weights = layer.mix.softmax(0)
    expected = torch.nn.functional.silu(X) @ layer.base[:, 0].T
    for m, basis in enumerate(layer.pool):
        functions = BASES[basis]((X + 3) * (5 / 6), 5, 3)
        expected = expected + torch.einsum("bki,oki,i->bo", functions, layer.weight[:, m], weights[m])
    torch.testing.assert_close(layer(X), expected)


def test_selection_keeps_the_function_where_one_basis_has_all_the_weight():
    layer = drawn()
    with torch.no_grad():
        layer.mix.zero_()
        layer.mix[[0, 1, 2, 1, 0], range(5)] = 50.0
    selected = layer.select()
    assert selected.chosen.argmax(0).tolist() == [0, 1, 2, 1, 0]
    torch.testing.assert_close(selected(X), layer(X))


def test_selection_prunes():
    layer = drawn()
    selected = layer.select()
    assert sum(p.numel() for p in selected.parameters()) == sum(p.numel() for p in KANLinear(5, 3).parameters())
    assert (selected.chosen.sum(0) == 1).all()
    largest = layer.mix.argmax(0)
    share = layer.mix.softmax(0)[largest, range(5)]
    expected = torch.stack([layer.weight[:, m, :, i] for i, m in enumerate(largest)], dim=-1) * share
    torch.testing.assert_close(selected.weight[:, 1:], expected)


def test_selected_layers_of_other_choices_train_together():
    layers = []
    for seed in range(2):
        torch.manual_seed(seed)
        layer = SKANLinear(5, 1)
        torch.nn.init.normal_(layer.mix)
        layers.append(layer.select())
    x, rows = X.float(), torch.arange(20).numpy()
    members = [Member(Setting(1e-2, 0.0, 0.0), 0, rows)] * 2
    fitted = fit(layers, x, x[:, :1], members=members, recipe=Recipe(steps=3, batch_size=20), device="cpu")
    for i, layer in enumerate(layers):
        assert torch.equal(fitted.fleet.module(i).get_buffer("chosen"), layer.chosen)
        assert not torch.equal(fitted.fleet.module(i).get_parameter("weight"), layer.weight)


@pytest.mark.parametrize("pool", [(), "spline", ("spline", "splines")])
def test_pool_has_to_be_known(pool):
    with pytest.raises(LaminaError, match="pool"):
        SKANLinear(2, 2, pool=pool)
