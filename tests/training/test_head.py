import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from lamina.training.head import Head


def test_probabilities_are_the_softmax_of_the_outputs():
    outputs = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    head = Head.fit(np.array([0, 1, 2]), 3)
    np.testing.assert_allclose(head.decode(torch.from_numpy(outputs)), softmax(outputs.astype(float), -1), rtol=1e-6)
    y = np.array([0, 2, 1, 1, 0])
    expected = -log_softmax(outputs[0].astype(float), -1)[np.arange(5), y].mean()
    assert head.loss(y, head.decode(torch.from_numpy(outputs[0]))) == pytest.approx(expected, rel=1e-5)


def test_values_come_back_in_their_own_unit():
    y = np.array([10.0, 30.0, 20.0, 44.0])
    head = Head.fit(y, 0)
    encoded = head.encode(y)
    assert encoded.mean() == pytest.approx(0, abs=1e-6)
    assert encoded.std() == pytest.approx(1, rel=1e-6)
    np.testing.assert_allclose(head.decode(torch.from_numpy(encoded)[:, None]), y, rtol=1e-6)
    assert head.loss(y, y + head.scale) == pytest.approx(1.0)


def test_values_stay_within_the_range_of_the_training_part():
    head = Head.fit(np.array([0.0, 1.0]), 0)
    np.testing.assert_array_equal(head.decode(torch.tensor([[-100.0], [100.0]])), [0.0, 1.0])


def test_a_constant_training_part_does_not_divide_by_zero():
    head = Head.fit(np.full(4, 7.0), 0)
    np.testing.assert_array_equal(head.encode(np.array([7.0])), [0.0])
