import numpy as np
import pytest

from lamina.errors import LaminaError
from lamina.training import Recipe


@pytest.mark.parametrize("rows", [10, 300, 5000, 10**6])
def test_steps_and_batches_fit_the_rows(rows):
    recipe = Recipe()
    assert 300 <= recipe.steps_for(rows) <= 5000
    assert min(rows, 32) <= recipe.batch_for(rows) <= 256


def test_the_learning_rate_rises_then_falls_to_zero():
    recipe = Recipe(warmup=0.1)
    factors = [recipe.factor(t, 100) for t in range(100)]
    assert np.argmax(factors) in (9, 10)
    assert max(factors) == pytest.approx(1.0)
    assert factors[-1] < 1e-3
    assert Recipe(warmup=None).factor(50, 100) == 1.0


def test_bad_values_are_named():
    with pytest.raises(LaminaError, match="precision is 'float8', it has to be 'float32' or 'bfloat16'"):
        Recipe(precision="float8")
    with pytest.raises(LaminaError, match="batch_size is 0, it has to be at least 1"):
        Recipe(batch_size=0)
