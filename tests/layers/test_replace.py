import pytest
import torch
from torch import nn

from lamina.errors import LaminaError
from lamina.layers import BilinearLinear, FANLinear, KANLinear, MoELinear, swap


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2)))


def test_replaces_all_and_keeps_the_sizes():
    net = swap(model(), nn.Linear, KANLinear, grid=3)
    kans = [m for m in net.modules() if isinstance(m, KANLinear)]
    assert [(k.in_features, k.out_features, k.grid) for k in kans] == [(4, 8, 3), (8, 8, 3), (8, 2, 3)]
    assert not any(isinstance(m, nn.Linear) for m in net.modules())


@pytest.mark.parametrize("new", [BilinearLinear, MoELinear])
def test_computes_the_same_where_from_linear_exists(new):
    net, x = model().double(), torch.randn(5, 4, dtype=torch.float64)
    expected = net(x)
    torch.testing.assert_close(swap(net, nn.Linear, new)(x), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("where", ["2.*", lambda name, linear: linear.in_features == 8])
def test_where(where):
    net = swap(model(), nn.Linear, FANLinear, where=where)
    assert [type(m) for m in (net[0], net[2][0], net[2][1])] == [nn.Linear, FANLinear, FANLinear]


def test_keeps_dtype_device_and_mode():
    new = swap(model().to("meta", torch.float64).eval(), nn.Linear, FANLinear)[0]
    assert (new.weight.dtype, new.weight.device.type, new.training) == (torch.float64, "meta", False)


def test_a_shared_layer_stays_shared_and_a_bare_one_is_returned():
    linear = nn.Linear(3, 3)
    net = swap(nn.Sequential(linear, linear), nn.Linear, FANLinear)
    assert net[0] is net[1]
    assert isinstance(swap(linear, nn.Linear, FANLinear), FANLinear)


def test_subclasses_are_left_alone():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    swap(layer, nn.Linear, KANLinear)
    assert isinstance(layer.linear1, KANLinear)
    assert isinstance(layer.self_attn.out_proj, nn.Linear)


def test_says_what_there_is_when_nothing_matches():
    with pytest.raises(LaminaError, match=r"Sequential has no Linear that matches where='3\.\*'; it has 3: .*2\.0"):
        swap(model(), nn.Linear, KANLinear, where="3.*")
    with pytest.raises(LaminaError, match=r"ReLU has no Linear$"):
        swap(nn.ReLU(), nn.Linear, KANLinear)
