import pytest
import torch
from sound import Sound, SoundNetwork
from torch import nn

from lamina.layers import FANLinear
from lamina.networks import Stack, count_params
from lamina.testing.subject import IN, OUT, WIDTH, Subject, gap, require, rows, seeded


def test_a_name_and_its_class_are_one_subject():
    assert Subject.of("fan") == Subject.of(FANLinear)
    assert Subject.of("fan").cls is FANLinear


@pytest.mark.parametrize(("cls", "layer"), [(Sound, True), (SoundNetwork, False)])
def test_a_layer_is_made_without_a_width(cls, layer):
    subject = Subject.of(cls)
    assert subject.is_layer == layer
    assert ("width" in subject.arguments()) != layer
    assert subject.arguments(in_features=9)["in_features"] == 9
    assert not subject.make().training
    assert isinstance(subject.network(), Stack) == layer


def test_device_and_dtype_are_no_options():
    assert set(Subject.of(FANLinear).options()) == {"in_features", "out_features", "periodic", "activation"}


def test_sizes_of_what_is_made():
    subject = Subject.of(SoundNetwork)
    assert count_params(subject.make()) == (IN + 1) * WIDTH + (WIDTH + 1) * OUT
    assert count_params(subject.network(params=800)) == 100 * (IN + 1) + 101 * OUT


def test_a_seed_gives_the_same_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    one, same, other = (seeded(s, lambda: nn.Linear(3, 3)).weight for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_are_the_same_in_every_type():
    assert rows().shape == (5, IN)
    assert torch.equal(rows(dtype=torch.float64).float(), rows())
    assert not torch.equal(rows(seed=1), rows())


@pytest.mark.parametrize(
    ("a", "b", "expected"), [([1.0, 2.0], [1.0, 2.5], 0.2), ([0.1], [0.3], 0.2), ([3.0], [-4.0], 7 / 4), ([], [], 0.0)]
)
def test_gap_is_relative_only_above_1(a, b, expected):
    assert gap(torch.tensor(a), torch.tensor(b)) == pytest.approx(expected)


def test_gap_refuses_other_shapes():
    with pytest.raises(AssertionError, match=r"shapes \(2,\) and \(2, 1\) differ"):
        gap(torch.ones(2), torch.ones(2, 1))


def test_require_tells_what_was_found():
    require(1, "nothing to say")
    with pytest.raises(AssertionError, match=r"^found 0$"):
        require(0, "found 0")
