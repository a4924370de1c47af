"""The verdict on made-up scores whose right answer is known."""

from __future__ import annotations

import json
import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.errors import LaminaError
from lamina.study.statistics import corrected_t_test, correlated_t_probabilities
from lamina.study.verdict import Entry, Verdict, judge

SPLITS, SEEDS = 5, 2
WOBBLE = np.array([0.002, -0.002, 0.001, -0.001, 0.0])
OTHER = np.array([-0.03, 0.04, 0.02, -0.05, 0.02])


def entry(name: str, mean: float, wobble: np.ndarray = WOBBLE * 0, seconds: float = 1.0, rival: bool = False) -> Entry:
    """Scores with this mean and this wobble over the splits; the seeds lie 0.1 to either side."""
    scores = (mean + wobble)[:, None] + np.array([-0.1, 0.1])
    return Entry(name, scores.ravel().tolist(), 1000, seconds, rival)


def verdict(*entries: Entry, higher: bool = True, metric: str = "roc_auc", rope: float = 0.01, **options) -> Verdict:
    return judge(entries, metric=metric, higher_is_better=higher, rope=rope, splits=SPLITS, seeds=SEEDS, **options)


def test_a_clear_winner() -> None:
    v = verdict(entry("mlp", 0.95, WOBBLE), entry("kan", 0.99, seconds=1.4), entry("constant", 0.5, rival=True))
    assert (v.best, v.network, v.decided) == ("kan", "kan", True)
    assert re.fullmatch(
        r"Use kan: its ROC AUC of 0\.990 is higher than that of mlp by 0\.040 \(probability 1\.00 that the "
        r"difference is more than 0\.010\); it cost 1\.4 s a training\.",
        v.sentence,
    )
    assert v.warnings == ()


def test_lower_is_better_turns_everything_round() -> None:
    v = verdict(entry("mlp", 9.5, WOBBLE), entry("kan", 9.9), higher=False, metric="rmse", rope=0.1)
    assert v.best == "mlp"
    assert "its RMSE of 9.50 is lower than that of kan by 0.40" in v.sentence
    assert (v.pairs[0].first, v.pairs[0].difference) == ("mlp", pytest.approx(0.4))
    assert v.pairs[0].better > 0.99


def test_seeds_are_averaged_before_pairing() -> None:
    """The seeds differ by 0.2, the splits by nothing: as evidence, the seeds would blur every difference."""
    v = verdict(entry("a", 0.9), entry("b", 0.88, WOBBLE))
    assert v.decided
    gap = 0.02 - WOBBLE
    (pair,) = v.pairs
    assert (pair.better, pair.equal, pair.worse) == pytest.approx(correlated_t_probabilities(gap, 0.01))
    assert pair.p_value == pytest.approx(corrected_t_test(gap))


def test_all_networks_equal_names_the_cheapest_and_the_linear_model() -> None:
    v = verdict(
        entry("kan", 0.994, seconds=3.0),
        entry("fan", 0.993, WOBBLE),
        entry("mlp", 0.992, seconds=0.31),
        entry("linear", 0.991, seconds=0.01, rival=True),
        entry("constant", 0.5, rival=True),
    )
    assert v.decided
    assert v.sentence == (
        "All three networks are practically equal, within 0.010 of kan (ROC AUC 0.994); the cheapest is mlp, "
        "at 0.31 s a training; a linear model does as well."
    )


def test_the_winner_has_equals() -> None:
    v = verdict(
        entry("kan", 0.994, seconds=3.0),
        entry("fan", 0.990, seconds=0.2),
        entry("mlp", 0.92),
        entry("linear", 0.993, seconds=0.4, rival=True),
    )
    assert v.sentence == (
        "Use kan: its ROC AUC of 0.994 is not exceeded in practice by any other; it cost 3 s a training; "
        "practically equal to it (within 0.010): linear and fan; the cheapest of these is fan, at 0.2 s a "
        "training; a linear model does as well."
    )


def test_a_rival_that_wins_is_named_plainly() -> None:
    v = verdict(entry("kan", 0.90), entry("fan", 0.89), entry("hist_gradient_boosting", 0.95, WOBBLE, rival=True))
    assert (v.best, v.network, v.decided) == ("hist_gradient_boosting", "kan", True)
    assert "Use hist_gradient_boosting rather than a network: its ROC AUC of 0.950" in v.sentence
    assert "that of the best network, kan, by 0.050" in v.sentence


def test_a_rival_that_leads_without_winning_leaves_it_open() -> None:
    v = verdict(entry("kan", 0.90, OTHER), entry("fan", 0.80), entry("linear", 0.93, rival=True))
    assert (v.best, v.decided) == ("kan", False)
    assert "kan is the best network (ROC AUC 0.900), but linear may be as good or better" in v.sentence


def test_two_rivals_before_the_networks() -> None:
    v = verdict(entry("kan", 0.70), entry("linear", 0.90, OTHER, rival=True), entry("hgb", 0.91, rival=True))
    assert (v.best, v.decided) == ("hgb", False)
    assert "linear may be as good or better" in v.sentence
    assert "hgb is decidedly better than the best network, kan" in v.sentence


def test_not_decided_says_how_many_splits_would() -> None:
    v = verdict(entry("fan", 0.99), entry("kan", 0.96, np.array([0.04, -0.03, 0.0, 0.01, -0.02]) * 0.7))
    assert not v.decided
    assert v.sentence.startswith("Not decided: fan leads (ROC AUC 0.990), but kan may be as good or better; about ")
    (needed,) = re.findall(r"about (\d+) splits instead of 5", v.sentence)
    assert 5 < int(needed) < 100
    assert v.sentence.endswith("fan is a safe choice, for none is likely to be better by more than 0.010.")


def test_not_decided_says_when_splits_would_not_help() -> None:
    v = verdict(entry("fan", 0.99), entry("kan", 0.98, OTHER))
    assert "more splits alone would not settle fan against kan" in v.sentence
    assert "safe choice" not in v.sentence


def test_one_split_decides_nothing() -> None:
    v = judge(
        [Entry("a", [0.9], 1, 1.0), Entry("b", [0.1], 1, 1.0)],
        metric="accuracy", higher_is_better=True, rope=0.01, splits=1, seeds=1,
    )  # fmt: skip
    assert not v.decided
    assert "one split says nothing of the spread" in v.sentence
    assert any("one split" in w for w in v.warnings)


@pytest.mark.parametrize(("higher", "score"), [(True, 0.49), (False, 0.51)])
def test_a_network_no_better_than_the_constant_is_warned_of(higher: bool, score: float) -> None:
    v = verdict(
        entry("a", score),
        entry("b", 0.9 if higher else 0.1),
        entry("constant", 0.5, rival=True),
        higher=higher,
    )
    assert v.warnings == (f"a is no better than the constant prediction ({score:.3f} against 0.500)",)


def test_small_test_parts_are_warned_of() -> None:
    entries = entry("a", 0.9), entry("b", 0.8)
    assert verdict(*entries, test_rows=30).warnings == ("a test part has only 30 rows, so that one row is 3.3% of it",)
    assert verdict(*entries, test_rows=50).warnings == ()


def test_a_partly_diverged_network_is_judged_on_the_rest_and_warned_of() -> None:
    good, bad = entry("a", 0.9), entry("b", 0.8)
    v = verdict(good, Entry("b", [None, *bad.scores[1:]], 1, 1.0))
    assert len(v.pairs) == 1
    assert v.warnings == ("b diverged in 1 of 10 trainings",)
    assert v.pairs[0].difference == pytest.approx(0.1 - 0.1 / SPLITS)  # the first split has the seed at +0.1 alone


def test_a_network_with_a_lost_split_is_not_judged() -> None:
    bad = Entry("b", [float("nan"), None, *[0.99] * 8], 1, 1.0)
    v = verdict(entry("a", 0.9), bad, entry("linear", 0.5, rival=True))
    assert v.best == "a"
    assert not any("b" in (p.first, p.second) for p in v.pairs)
    assert v.warnings == ("b diverged in 2 of 10 trainings, so that it could not be judged",)


def test_all_diverged() -> None:
    lost = [Entry(name, [None] * 10, 1, 1.0) for name in "ab"]
    v = verdict(*lost)
    assert (v.best, v.network, v.decided, v.pairs) == ("", "", False, ())
    assert v.sentence == "No network can be judged: in some split every training of each diverged."
    v = verdict(*lost, entry("linear", 0.8, rival=True))
    assert v.best == "linear"
    assert v.sentence.endswith("; the best rival is linear (ROC AUC 0.800).")


def test_little_to_compare() -> None:
    assert "only a (ROC AUC 0.900) can be judged" in verdict(entry("a", 0.9)).sentence
    assert "none was given" in verdict(entry("linear", 0.9, rival=True)).sentence
    assert verdict().sentence == "No network can be judged: none was given."


def test_the_dictionary_is_strict_json_and_complete() -> None:
    v = verdict(entry("a", 0.9, WOBBLE), entry("b", 0.8), entry("linear", 0.7, rival=True))
    d = json.loads(json.dumps(v.to_dict(), allow_nan=False))
    assert d["best"] == "a"
    assert set(d["pairs"][0]) == {"first", "second", "better", "equal", "worse", "difference", "p_value"}
    assert d["sentence"] == v.sentence


@given(st.lists(st.lists(st.floats(0, 1), min_size=10, max_size=10), min_size=2, max_size=5), st.booleans())
def test_what_holds_for_any_scores(rows: list[list[float]], higher: bool) -> None:
    entries = [Entry(f"m{i}", scores, 1, 1.0 + i, rival=i == 1) for i, scores in enumerate(rows)]
    v = verdict(*entries, higher=higher)
    assert len(v.pairs) == len(list(combinations(rows, 2)))
    assert all(p.better + p.equal + p.worse == pytest.approx(1) and p.difference >= -1e-12 for p in v.pairs)
    mine = [p for p in v.pairs if v.best in (p.first, p.second)]
    assert v.decided == all(max(p.equal, p.better if p.first == v.best else p.worse) >= 0.95 for p in mine)
    assert v.sentence.startswith("Not decided: ") != v.decided
    assert v.sentence.endswith(".")
    assert v.sentence == verdict(*reversed(entries), higher=higher).sentence


def test_bad_entries_are_named() -> None:
    with pytest.raises(LaminaError, match="'a' has 3 scores for 5 splits of 2 seeds, expected 10"):
        verdict(Entry("a", [1, 2, 3], 1, 1.0))
    with pytest.raises(LaminaError, match="named once, not a, a"):
        verdict(entry("a", 1), entry("a", 2))
