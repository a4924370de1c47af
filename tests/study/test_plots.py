"""The figures carry the numbers they are made of."""

import math

import pytest

from lamina.study import plots
from lamina.study.leaderboard import Row

MEANS = {"mlp": 0.95, "linear": 0.94, "kan": 0.93, "moe": 0.90, "constant": 0.5}


def row(name, mean, place=1, **facts):
    nothing = dict.fromkeys(("low", "high", "ensemble", "params", "flops", "seconds"))
    return Row(
        **{"place": place, "name": name, "summary": "", "rival": False, "diverged": 0, **nothing, **facts}, mean=mean
    )


ROWS = [row(name, mean, place) for place, (name, mean) in enumerate(MEANS.items(), 1)]


def test_what_is_far_behind_is_not_in_view():
    # distances from the best are 0, 0.01, 0.02, 0.05, 0.45: six times their median is 0.12
    assert [r.name for r in plots.in_view(ROWS, 0.001)] == ["mlp", "linear", "kan", "moe"]
    assert plots.in_view(ROWS, 0.1) == ROWS  # 0.45 is less than six regions of equivalence
    assert plots.in_view([row("lost", None, None)], 0.01) == []


def test_intervals_reach_from_low_to_high_also_where_the_metric_ends_them():
    rows = [row("kan", 0.9, low=0.75, high=0.95), row("linear", 0.88, rival=True, low=None, high=None)]
    networks, rivals = plots.intervals(rows, "roc_auc", 0.01)["data"]
    assert (networks["x"], networks["y"]) == ([0.9], [0])
    assert networks["error_x"]["array"] == pytest.approx([0.05])
    assert networks["error_x"]["arrayminus"] == pytest.approx([0.15])
    assert networks["error_x"]["symmetric"] is False
    assert (rivals["x"], rivals["y"], rivals["error_x"]["array"]) == ([0.88], [1], [0.0])
    assert networks["text"] == ["<b>kan</b><br>0.900 [0.750, 0.950]"]
    assert rivals["text"] == ["<b>linear</b><br>0.880"]


@pytest.mark.parametrize("costs", [(100, 2_000_000), (900, 1100), (500, 500)])
def test_every_dot_and_tick_of_a_cost_is_within_the_axis(costs):
    rows = [row(str(c), 0.9 + 0.01 * i, params=c) for i, c in enumerate(costs)] + [row("free", 0.9, params=None)]
    figure = plots.against(rows, "params", "parameters", "roc_auc", 0.01)
    assert figure
    assert figure["data"][0]["x"] == list(costs)
    axis = figure["layout"]["xaxis"]
    low, high = axis["range"]
    assert all(low < math.log10(at) < high for at in (*costs, *axis["tickvals"]))
    assert len(axis["tickvals"]) == len(axis["ticktext"])


def test_a_cost_that_nobody_knows_has_no_figure():
    assert plots.against(ROWS, "flops", "operations", "roc_auc", 0.01) is None


def test_probabilities_are_stacked_to_one_and_small_ones_have_no_label():
    figure = plots.pairs("kan", [("mlp", 0.7, 0.25, 0.05), ("moe", 0.1, 0.1, 0.8)])
    shares = [trace["x"] for trace in figure["data"]]
    assert shares == [[0.7, 0.1], [0.25, 0.1], [0.05, 0.8]]
    assert [trace["text"] for trace in figure["data"]] == [["0.70", ""], ["0.25", ""], ["", "0.80"]]
    assert figure["layout"]["yaxis"]["ticktext"] == ["mlp", "moe"]


def test_long_curves_are_thinned_and_keep_their_ends():
    figure = plots.curves([{"split": 0, "seed": 0, "train": [1 / (i + 1) for i in range(1000)], "validation": []}])
    assert figure
    (trace,) = figure["data"]
    assert len(trace["x"]) <= plots.MOST_POINTS
    assert (trace["x"][0], trace["x"][-1], trace["y"][0], trace["y"][-1]) == (1, 1000, 1, 0.001)
    assert all(y == pytest.approx(1 / x, rel=1e-4) for x, y in zip(trace["x"], trace["y"], strict=True))
    assert figure["layout"]["yaxis"]["type"] == "log"


def test_curves_below_zero_have_a_linear_axis():
    figure = plots.curves([{"split": 0, "seed": 0, "train": [0.1, -0.1], "validation": [0.2, 0.1]}])
    assert figure
    assert figure["layout"]["yaxis"].get("type") != "log"
    assert plots.curves([]) is None


def test_ranks_that_cannot_be_told_apart_are_joined():
    names, means = ["a", "b", "c", "d"], [1.2, 1.9, 2.9, 4.0]
    dots, *bars, ruler = plots.ranks(names, means, 1.05)["data"]
    assert (dots["x"], dots["y"]) == (means, [0, 1, 2, 3])
    assert [tuple(round(y) for y in bar["y"]) for bar in bars] == [(0, 1), (1, 2)]
    assert ruler["x"] == [1, 2.05]
    assert not plots.ranks(names, means, 0.5)["data"][1:-1]


def test_labels_are_short_and_hold_no_markup():
    assert plots.label("a<b & c") == "a&lt;b &amp; c"
    assert plots.label("x" * 24) == "x" * 24
    assert plots.label("x" * 25) == "x" * 23 + "…"
