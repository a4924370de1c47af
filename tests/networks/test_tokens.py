import pytest
import torch
from torch import nn

from lamina.errors import LaminaError
from lamina.networks.tokens import TokenStack


class Mean(nn.Module):
    """Gives every token the mean of all."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.linear(x.mean(-2, keepdim=True)).expand(*x.shape[:-1], -1)


def test_it_computes_what_it_says():
    torch.manual_seed(0)
    stack = TokenStack(Mean, 3, 2, width=4, depth=1, last=5).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    tokens = x[:, :, None] * stack.scale + stack.offset
    mixed = tokens + stack.layers[0](stack.norms[0](tokens))
    pooled = stack.norms[1](mixed).mean(1)
    expected = stack.head(nn.functional.gelu(stack.hidden(pooled)))
    torch.testing.assert_close(stack(x), expected)


def test_columns_have_tokens_of_their_own():
    torch.manual_seed(0)
    stack = TokenStack(Mean, 3, 1, width=4).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    assert (stack(x) - stack(x[:, [1, 0, 2]])).abs().min() > 1e-6


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("depth", -1), ("last", 1.5), ("dropout", 2.0)])
def test_bad_sizes_are_named(name, value):
    with pytest.raises(LaminaError, match=f"{name}={value}"):
        TokenStack(Mean, 3, 2, **{"width": 4, name: value})


def test_other_numbers_of_columns_are_refused():
    with pytest.raises(LaminaError, match="in_features=3"):
        TokenStack(Mean, 3, 2, width=4)(torch.zeros(2, 4))
