import pytest

from lamina.study.leaderboard import leaderboard


def summary(higher, networks, rivals):
    """A summary of methods as pairs of a name and a mean."""
    entries = [[{"name": name, "mean": mean} for name, mean in group] for group in (networks, rivals)]
    return {"higher_is_better": higher, "networks": entries[0], "rivals": entries[1]}


@pytest.mark.parametrize(
    ("higher", "names"), [(True, ["kan", "linear", "mlp", "constant"]), (False, ["constant", "mlp", "linear", "kan"])]
)
def test_the_best_in_the_metrics_direction_is_first(higher, names):
    rows = leaderboard(summary(higher, [("mlp", 0.8), ("kan", 0.9)], [("constant", 0.5), ("linear", 0.85)]))
    assert [row.name for row in rows] == names
    assert [row.place for row in rows] == [1, 2, 3, 4]
    assert {row.name for row in rows if row.rival} == {"constant", "linear"}


@pytest.mark.parametrize("higher", [True, False])
def test_a_method_without_a_score_is_last_and_has_no_place(higher):
    rows = leaderboard(summary(higher, [("a", None), ("b", -3.0)], [("c", None), ("d", 0.0)]))
    assert [(row.name, row.place) for row in rows[2:]] == [("a", None), ("c", None)]
    assert sorted(row.place for row in rows[:2]) == [1, 2]


def test_of_equal_scores_networks_are_first_then_the_alphabet_decides():
    rows = leaderboard(summary(True, [("mlp", 1.0), ("kan", 1.0)], [("constant", 1.0)]))
    assert [row.name for row in rows] == ["kan", "mlp", "constant"]


def test_a_row_has_the_numbers_of_its_entry():
    entry = {
        "name": "mlp", "summary": "dense layers", "mean": 0.8, "low": 0.7, "high": 0.9, "ensemble": [0.8, None, 0.9],
        "params": 990, "flops": 2000, "fit_seconds": 1.5, "diverged": 2,
    }  # fmt: skip
    (row,) = leaderboard({"higher_is_better": True, "networks": [entry], "rivals": None})
    assert (row.low, row.high, row.params, row.flops, row.seconds, row.diverged) == (0.7, 0.9, 990, 2000, 1.5, 2)
    assert row.ensemble == pytest.approx(0.85)  # of the splits that have one
    (bare,) = leaderboard({"higher_is_better": True, "rivals": [{"name": "x", "ensemble": [None]}]})
    assert (bare.mean, bare.ensemble, bare.summary, bare.diverged) == (None, None, "", 0)
