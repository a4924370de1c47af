import subprocess
import sys

import pytest

from lamina.data.bundled import BUNDLED
from lamina.data.target import infer_target


@pytest.mark.parametrize("name", BUNDLED)
def test_the_literals_are_those_of_the_data(name):
    facts = BUNDLED[name]
    frame = facts.load()
    assert frame.shape == (facts.rows, facts.features + 1)
    assert frame.columns[-1] == facts.target
    assert infer_target(frame[facts.target]).kind == facts.task


def test_targets_are_in_words_and_diabetes_in_units():
    assert set(BUNDLED["breast-cancer"].load()["diagnosis"]) == {"benign", "malignant"}
    assert set(BUNDLED["iris"].load()["species"]) == {"setosa", "versicolor", "virginica"}
    age = BUNDLED["diabetes"].load()["age"]
    assert (age.min(), age.max()) == (19, 79)


def test_listing_them_imports_neither_polars_nor_scikit_learn():
    code = (
        "import sys; from lamina.data.bundled import BUNDLED; list(BUNDLED.values());"
        "print(sorted({'polars', 'sklearn', 'numpy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
