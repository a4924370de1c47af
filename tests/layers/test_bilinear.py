import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lamina.layers import BilinearLinear


def test_is_a_third_order_tensor_contracted_twice():
    layer = BilinearLinear(4, 3).double()
    nn.init.normal_(layer.bias)
    first, second = torch.cat([layer.weight, layer.bias[:, None]], dim=1).chunk(2)
    tensor = torch.einsum("oi,oj->oij", first, second)
    x = torch.randn(6, 4, dtype=torch.float64)
    one = torch.cat([x, torch.ones(6, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(layer(x), torch.einsum("oij,bi,bj->bo", tensor, one, one), atol=1e-12, rtol=0)


@given(st.integers(1, 6), st.integers(1, 6), st.booleans())
def test_from_linear_computes_the_same(in_features, out_features, bias):
    linear = nn.Linear(in_features, out_features, bias=bias, dtype=torch.float64)
    x = torch.randn(5, in_features, dtype=torch.float64)
    torch.testing.assert_close(BilinearLinear.from_linear(linear)(x), linear(x), atol=1e-12, rtol=0)
