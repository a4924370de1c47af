import numpy as np
import pytest

from lamina.data.feynman import Formula, feynman, formulas
from lamina.data.task import make_task
from lamina.errors import LaminaError

FALL = Formula("fall", "x", "g*t**2/2 - sqrt(h^2)", {"g": (9.0, 10.0), "t": (0.0, 2.0), "h": (-1.0, 1.0)})
HEADER = "\ufeffFilename,Number,Output,Formula,# variables,v1_name,v1_low,v1_high,v2_name,v2_low,v2_high\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of data with two formulas, the number of variables of one of them wrong."""
    (tmp_path / "feynman").mkdir()
    text = "I.1,1,E,m*c**2,1,m,1,5,c,3,4\nI.2,2,x,ln(x)*2,1,x,1,2,,,\n,,,,,,,,,,\n"
    (tmp_path / "feynman" / "FeynmanEquations.csv").write_text(HEADER + text, encoding="utf-8")
    monkeypatch.setenv("LAMINA_DATA", str(tmp_path))
    formulas.cache_clear()
    yield tmp_path
    formulas.cache_clear()


def test_a_formula_is_what_its_text_says():
    columns = {"g": np.array([9.81, 9.0]), "t": np.array([2.0, 0.5]), "h": np.array([-0.25, 1.0])}
    np.testing.assert_allclose(FALL.evaluate(columns), [9.81 * 2 - 0.25, 9 / 8 - 1])


def test_rows_are_drawn_evenly_from_the_ranges():
    frame = FALL.sample(4_000, seed=3)
    assert frame.columns == ["g", "t", "h", "x"]
    for name, (low, high) in FALL.ranges.items():
        column = np.sort((frame[name].to_numpy() - low) / (high - low))
        assert np.abs(column - np.linspace(0, 1, 4_000)).max() < 0.03
    assert FALL.sample(50, seed=3).equals(FALL.sample(50, seed=3))
    assert not FALL.sample(50, seed=3).equals(FALL.sample(50, seed=4))


@pytest.mark.parametrize("text", ["__import__('os')", "g.real", "[g]", "unknown + g", "g +", "lambda: g"])
def test_nothing_but_arithmetic_is_run(text):
    with pytest.raises(LaminaError, match="formula 'bad'"):
        Formula("bad", "y", text, {"g": (0, 1)}).evaluate({"g": np.zeros(2)})


def test_the_variables_are_counted_by_their_names(folder):
    assert feynman("I.1").ranges == {"m": (1.0, 5.0), "c": (3.0, 4.0)}
    assert feynman("I.2").sample(5).columns == ["x", "x_out"]
    assert list(formulas()) == ["I.1", "I.2"]


def test_an_unknown_formula_is_answered_with_the_closest(folder):
    with pytest.raises(LaminaError, match=r"formula 'I\.3' is not known; the closest are: I\."):
        make_task("feynman:I.3")


def test_without_the_folder_it_is_said_what_is_missing(monkeypatch):
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    formulas.cache_clear()
    with pytest.raises(LaminaError, match="set LAMINA_DATA"):
        make_task("feynman:I.1")


def test_a_formula_is_a_task(folder):
    task = make_task("feynman:I.1")
    assert (task.name, task.kind, task.target.name, task.rows) == ("feynman-I.1", "regression", "E", 5_000)
    np.testing.assert_allclose(task.y, task.features["m"].to_numpy() * task.features["c"].to_numpy() ** 2)


def test_all_formulas_at_hand_have_finite_values():
    import os

    if not os.environ.get("LAMINA_DATA"):
        pytest.skip("LAMINA_DATA names no folder of data")
    formulas.cache_clear()
    assert len(formulas()) == 100
    for formula in formulas().values():
        frame = formula.sample(200)
        assert np.isfinite(frame.to_numpy()).all(), formula.name
