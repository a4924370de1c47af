import pytest

from lamina.errors import LaminaError
from lamina.training import Recipe


@pytest.mark.parametrize("rows", [10, 300, 5000, 10**6])
def test_steps_and_batches_fit_the_rows(rows):
    recipe = Recipe()
    assert 300 <= recipe.steps_for(rows) <= 5000
    assert min(rows, 32) <= recipe.batch_for(rows) <= 256


def test_bad_values_are_named():
    with pytest.raises(LaminaError, match="precision is 'float8', it has to be 'float32' or 'bfloat16'"):
        Recipe(precision="float8")
    with pytest.raises(LaminaError, match="batch_size is 0, it has to be at least 1"):
        Recipe(batch_size=0)
    with pytest.raises(LaminaError, match="optimiser 'adan' is not known; the closest are: adam"):
        Recipe(optimiser="adan")
    with pytest.raises(LaminaError, match="schedule 'cosin' is not known; the closest are: cosine"):
        Recipe(schedule="cosin")
