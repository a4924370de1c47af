import pytest
import torch
from torch.nn import functional as F

from lamina.training.loss import member_loss


def test_cross_entropy_is_torchs_for_each_member():
    output, y = torch.randn(3, 10, 4), torch.randint(0, 4, (3, 10))
    expected = torch.stack([F.cross_entropy(o, c) for o, c in zip(output, y, strict=True)])
    torch.testing.assert_close(member_loss(output, y), expected)


def test_squared_error_is_the_mean_over_rows():
    output, y = torch.tensor([[[1.0], [3.0]], [[0.0], [0.0]]]), torch.tensor([[0.0, 1.0], [2.0, 2.0]])
    torch.testing.assert_close(member_loss(output, y), torch.tensor([2.5, 4.0]))


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_a_weight_counts_as_so_many_rows(kind):
    output = torch.randn(1, 3, 3 if kind == "classes" else 1, dtype=torch.float64)
    y = torch.tensor([[0, 2, 1]]) if kind == "classes" else torch.randn(1, 3, dtype=torch.float64)
    weight = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64)
    repeated = [0, 0, 1]
    expected = member_loss(output[:, repeated], y[:, repeated])
    torch.testing.assert_close(member_loss(output, y, weight), expected)


def test_half_precision_outputs_give_a_full_precision_loss():
    loss = member_loss(torch.zeros(1, 2, 2, dtype=torch.bfloat16), torch.tensor([[0, 1]]))
    torch.testing.assert_close(loss, torch.tensor([2.0]).log())


def test_all_weights_zero_give_zero():
    loss = member_loss(torch.randn(1, 2, 1), torch.randn(1, 2), torch.zeros(1, 2))
    torch.testing.assert_close(loss, torch.zeros(1))


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_the_loss_of_a_row_with_several_targets_is_their_mean(kind):
    output, weight = torch.randn(2, 5, 3, 4, dtype=torch.float64), torch.rand(2, 5, dtype=torch.float64)
    if kind == "classes":
        y = torch.randint(0, 4, (2, 5, 3))
        one = F.cross_entropy(output.permute(0, 3, 1, 2), y, reduction="none").mean(2)
    else:
        y = torch.randn(2, 5, 3, 4, dtype=torch.float64)
        one = (output - y).square().mean((2, 3))
    torch.testing.assert_close(member_loss(output, y), one.mean(1))
    torch.testing.assert_close(member_loss(output, y, weight), (one * weight).sum(1) / weight.sum(1))
