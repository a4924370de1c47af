import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.evidence import Target
from lamina.evidence.judge import FAILS, HOLDS, OPEN, chance, judge

LOWER = Target("loss", "ratio", at_most=1.0)
ONES = [1.0] * 6


def verdict(targets, **arms):
    return judge(targets, {name: {"loss": v, "gap": v} for name, v in arms.items()})[0]


@given(st.lists(st.integers(-30, 30).map(float), min_size=2, max_size=7))
def test_chance_counts_the_choices_of_signs(margins):
    m = np.array(margins)
    signs = np.array(list(itertools.product([1, -1], repeat=len(m))))
    means = (signs * np.abs(m)).mean(1)
    expected = (means >= m.mean() - 1e-12).mean() if m.any() else 1.0
    assert chance(m) == pytest.approx(expected, abs=1e-9)


def test_five_seeds_decide_a_comparison_and_four_do_not():
    assert chance(np.ones(5)) == 1 / 32
    assert chance(np.ones(4)) == 1 / 16
    assert chance(np.ones(1)) == 0.5
    assert chance(np.zeros(5)) == 1.0
    assert chance(-np.ones(5)) == 1.0


def test_an_infinite_margin_counts_and_does_not_break_the_test():
    assert chance(np.array([np.inf, 1, 1, 1, 1])) == 1 / 32
    assert chance(np.array([-np.inf, 1, 1, 1, 1])) > 0.3
    assert chance(np.array([-np.inf, *[0.05] * 9])) == pytest.approx(chance(np.array([-0.1, *[0.05] * 9])))


def test_a_seed_that_failed_keeps_a_target_from_being_reached():
    nine = [0.5] * 9
    assert verdict([LOWER], system=[*nine, 0.5], baseline=[1.0] * 10) == HOLDS
    assert verdict([LOWER], system=[*nine, float("nan")], baseline=[1.0] * 10) == OPEN


def test_swapping_the_arms_turns_the_verdict():
    low = [0.5, 0.6, 0.4, 0.5, 0.55, 0.45]
    assert verdict([LOWER], system=low, baseline=ONES) == HOLDS
    assert verdict([LOWER], system=ONES, baseline=low) == FAILS
    assert verdict([LOWER], system=ONES, baseline=ONES) == OPEN


def test_a_claim_that_is_true_by_chance_alone_holds_seldom():
    rng = np.random.default_rng(0)
    found = [
        verdict([LOWER], system=np.exp(rng.normal(size=6)), baseline=np.exp(rng.normal(size=6))) for _ in range(400)
    ]
    assert 0.02 < np.mean([v == HOLDS for v in found]) < 0.08
    assert 0.02 < np.mean([v == FAILS for v in found]) < 0.08


def test_all_targets_have_to_be_reached_and_one_missed_is_enough():
    good, bad = Target("loss", "value", at_most=2), Target("gap", "value", at_most=0.5)
    assert verdict([good], system=ONES) == HOLDS
    assert verdict([good, bad], system=[1.0 + 0.01 * i for i in range(10)]) == FAILS
    noise = [0.4, 0.6, 0.45, 0.55, 0.3, 0.7]
    assert verdict([good, bad], system=noise) == OPEN


def test_misses_are_adjusted_for_the_number_of_comparisons():
    bad = [Target("loss", "value", at_most=0.5), Target("gap", "value", at_most=0.5)]
    assert verdict(bad[:1], system=[1.0] * 5) == FAILS
    result, findings = judge(bad, {"system": {"loss": [1.0] * 5, "gap": [1.0] * 5}})
    assert result == OPEN
    assert [f.missed for f in findings] == [1 / 16, 1 / 16]


def test_a_bound_on_every_value_is_broken_by_one_draw():
    exact = Target("gap", "every value", at_most=1e-6)
    assert verdict([exact], system=[1e-8, 1e-7]) == HOLDS
    assert verdict([exact], system=[1e-8, 1e-5]) == FAILS
    assert verdict([exact], system=[1e-8, float("nan")]) == FAILS


def test_a_target_is_held_against_each_baseline_or_the_one_it_names():
    arms = {"system": {"loss": ONES}, "a": {"loss": [2.0] * 6}, "b": {"loss": [0.5] * 6}}
    assert judge([LOWER], arms)[0] == FAILS
    named = Target("loss", "ratio", at_most=1.0, against="a")
    result, (finding,) = judge([named], arms)
    assert (result, finding.against, finding.effect, finding.baseline) == (HOLDS, "a", 0.5, 2.0)
