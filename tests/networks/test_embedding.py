import pytest
import torch

from lamina.errors import LaminaError
from lamina.networks import CategoryEmbedding


def test_category_codes_become_the_vectors_of_their_column():
    front = CategoryEmbedding(5, (3, 100))
    assert (front.numbers, front.dim, front.out_features) == (3, 8, 19)
    x = torch.tensor([[0.1, 0.2, 0.3, 2.0, 99.0]])
    expected = torch.cat([x[0, :3], front.weight[2], front.weight[3 + 99]])
    assert torch.equal(front(x)[0], expected)


def test_codes_beyond_the_known_ones_are_read_as_the_nearest():
    front = CategoryEmbedding(2, (3, 4))
    assert torch.equal(front(torch.tensor([[-1.0, 9.0]])), front(torch.tensor([[0.0, 3.0]])))


@pytest.mark.parametrize(("most", "dim"), [(1, 1), (2, 2), (9, 3), (10, 4), (64, 8), (10_000, 8)])
def test_the_largest_column_sets_the_size_of_all(most, dim):
    front = CategoryEmbedding(3, (most, 1))
    assert front.dim == dim
    assert front.weight.shape == (most + 1, dim)
    assert front(torch.zeros(2, 7, 3)).shape == (2, 7, 1 + 2 * dim)


def test_only_the_vectors_of_the_codes_at_hand_get_a_gradient():
    front = CategoryEmbedding(2, (3, 4))
    front(torch.tensor([[1.0, 0.0], [1.0, 2.0]])).sum().backward()
    assert front.weight.grad is not None
    assert front.weight.grad[:, 0].tolist() == [0, 2, 0, 1, 0, 1, 0]


def test_the_vectors_are_standard_normal():
    torch.manual_seed(0)
    weight = CategoryEmbedding(1, (20_000,)).weight
    assert weight.mean().item() == pytest.approx(0, abs=0.01)
    assert weight.std().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("in_features", "categories", "message"),
    [
        (2, (3, 0), r"categories\[1\]=0: categories\[1\] has to be a whole number of at least 1"),
        (1, (3, 4), r"categories=\(3, 4\): there have to be from 1 to in_features=1"),
        (2, (), r"categories=\(\): there have to be from 1 to in_features=2"),
        (0, (), "in_features=0: in_features has to be"),
    ],
)
def test_bad_sizes_are_named(in_features, categories, message):
    with pytest.raises(LaminaError, match=message):
        CategoryEmbedding(in_features, categories)
