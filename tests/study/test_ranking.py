import numpy as np
import pytest
from scipy import stats

from lamina.study.ranking import PICK, ranking
from lamina.study.statistics import critical_difference


def summary(scores, higher=True, pick=None):
    networks = [{"name": name, "mean": mean} for name, mean in scores.items()]
    return {"higher_is_better": higher, "networks": networks, "pick": None if pick is None else {"mean": pick}}


def test_several_data_sets_are_ranked_in_each_ones_direction():
    found = ranking(
        [
            summary({"a": 0.9, "b": 0.8, "c": 0.7}),
            summary({"a": 30.0, "b": 10.0, "c": 20.0}, higher=False),
            summary({"a": 0.6, "b": 0.6, "c": 0.1}),
        ]
    )
    assert found
    # ranks of a: 1, 3, 1.5; of b: 2, 1, 1.5; of c: 3, 2, 3
    assert found.names == ["b", "a", "c"]
    assert found.mean_ranks == pytest.approx([4.5 / 3, 5.5 / 3, 8 / 3])
    assert found.wins == [2, 2, 0]
    assert found.means == [[0.8, 0.9, 0.7], [10.0, 30.0, 20.0], [0.6, 0.6, 0.1]]
    expected = stats.friedmanchisquare([0.9, -30, 0.6], [0.8, -10, 0.6], [0.7, -20, 0.1])
    assert (found.statistic, found.p_value) == pytest.approx(expected)


def test_p_values_are_those_against_the_first_on_scores_from_0_to_1():
    generator = np.random.default_rng(0)
    tables = generator.normal([0.3, 0.1, 0.0], 0.1, size=(12, 3)) * 10.0 ** generator.integers(-3, 4, size=(12, 1))
    found = ranking([summary(dict(zip("xyz", table, strict=True))) for table in tables])
    assert found
    low, high = tables.min(1, keepdims=True), tables.max(1, keepdims=True)
    x, y, z = ((tables - low) / (high - low)).T
    raw = sorted(
        (float(stats.wilcoxon(a, b, zero_method="zsplit").pvalue), n)
        for a, b, n in ((x, y, "y"), (x, z, "z"), (y, z, ""))
    )
    adjusted = np.minimum(1, np.maximum.accumulate([p * m for (p, _), m in zip(raw, (3, 2, 1), strict=True)]))
    expected = {name: p for (_, name), p in zip(raw, adjusted, strict=True)}
    assert found.names[0] == "x"
    assert found.p_values == pytest.approx([1.0] + [expected[name] for name in found.names[1:]])


def test_the_same_are_those_within_a_critical_difference_of_the_first():
    found = ranking([summary({"a": 4, "b": 3, "c": 2, "d": 1})] * 6)
    assert found
    assert found.cd == critical_difference(4, 6)
    assert 1 < found.cd < 2
    assert found.same == ["b"]


def test_the_pick_is_ranked_as_one_more_method():
    found = ranking([summary({"a": 0.5, "b": 0.6}, pick=0.7)] * 2)
    assert found
    assert (found.names, found.mean_ranks, found.wins) == ([PICK, "b", "a"], [1, 2, 3], [2, 0, 0])


def test_a_failed_method_ranks_last_and_a_missing_one_is_named():
    found = ranking([summary({"a": None, "b": 0.1, "c": 0.2, "d": 1.0}), summary({"a": 0.9, "b": 0.1, "c": 0.2})])
    assert found
    assert found.left_out == ["d"]
    assert dict(zip(found.names, found.mean_ranks, strict=True)) == {"c": 1.5, "a": 2.0, "b": 2.5}
    assert found.means[0][found.names.index("a")] is None
    assert dict(zip(found.names, found.wins, strict=True)) == {"c": 1, "a": 1, "b": 0}


def test_fewer_than_two_shared_methods_are_not_ranked():
    assert ranking([summary({"a": 1, "b": 2}), summary({"b": 1, "c": 2})]) is None


def test_every_method_is_ranked_by_the_averaged_prediction_of_its_seeds():
    one = summary({"a": 0.5, "b": 0.6}, pick=0.8)
    one["networks"][0]["ensemble"] = [0.9, 0.9]
    found = ranking([one] * 2)
    assert found.names == ["a", PICK, "b"]
    assert found.means[0] == [0.9, 0.8, 0.6]
