"""From scores to a sentence: which method to use, by how much it is better, how sure that is, its cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lamina.errors import LaminaError
from lamina.study.statistics import corrected_t_test, correlated_t_probabilities, splits_to_decide
from lamina.study.wording import count, duration, listed, number, printed

CONSTANT, LINEAR = "constant", "linear"
FEW_TEST_ROWS = 50  # a single row is then 2 % of a test part, twice the usual region of practical equivalence
MOST_SPLITS = 200  # forty times 5-fold: what they leave open takes more rows, not more splits


@dataclass(frozen=True)
class Entry:
    """What one method, network or rival, scored and cost.

    Attributes:
        name: the method.
        scores: one per training, split-major: ``scores[split * seeds + seed]``; None or NaN: diverged.
        params: number of parameters; None where that means nothing.
        fit_seconds: mean time of a training.
        rival: whether it is a rival rather than a network of the catalogue.
    """

    name: str
    scores: Sequence[float | None]
    params: int | None
    fit_seconds: float
    rival: bool = False


@dataclass(frozen=True)
class Pair:
    """Two methods, compared: the probabilities that the first is better, practically equal, worse.

    Attributes:
        difference: mean difference in units of the metric, positive where the first is better.
        p_value: of the Nadeau-Bengio corrected t-test, two-sided, not adjusted for the number of pairs.
    """

    first: str
    second: str
    better: float
    equal: float
    worse: float
    difference: float
    p_value: float


@dataclass(frozen=True)
class Verdict:
    """What the comparison says.

    Attributes:
        best: the method to use: the network with the best mean, or the best of the rivals that are decidedly
            better than that network; empty when nothing could be judged.
        network: the network with the best mean; empty when none could be judged.
        decided: whether `best` is decidedly better than, or practically equal to, each of the others.
        sentence: the verdict in words.
        pairs: every two methods in the order of their means, the better mean first.
        warnings: what makes the comparison worth less than it looks.
    """

    best: str
    network: str
    decided: bool
    sentence: str
    pairs: tuple[Pair, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain lists and values, as in ``summary.json``."""
        return {
            **asdict(self),
            "pairs": [asdict(pair) for pair in self.pairs],
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class _Case:
    """The entries that can be judged, best mean first, with their scores by split (seeds averaged)."""

    entries: tuple[Entry, ...]
    scores: dict[str, np.ndarray]
    splits: int
    sign: int
    metric: str
    rope: float
    level: float

    @property
    def networks(self) -> list[str]:
        return [e.name for e in self.entries if not e.rival]

    def gap(self, first: str, second: str) -> np.ndarray:
        """(splits,) by how much the first is better."""
        return self.sign * (self.scores[first] - self.scores[second])

    def pair(self, first: str, second: str) -> Pair:
        gap = self.gap(first, second)
        three = correlated_t_probabilities(gap, self.rope)
        return Pair(first, second, *three, float(gap.mean()), corrected_t_test(gap))

    def others(self, name: str) -> list[Pair]:
        return [self.pair(name, e.name) for e in self.entries if e.name != name]

    def number(self, value: float) -> str:
        return number(value, self.rope)

    def score(self, name: str) -> str:
        return self.number(float(self.scores[name].mean()))

    def seconds(self, name: str) -> float:
        return next(e.fit_seconds for e in self.entries if e.name == name)


def _by_split(entry: Entry, splits: int, seeds: int) -> np.ndarray | None:
    """Mean score per split over the trainings that finished; None where a split has none."""
    if len(entry.scores) != splits * seeds:
        given = f"{len(entry.scores)} scores for {splits} splits of {seeds} seeds"
        raise LaminaError(f"{entry.name!r} has {given}, expected {splits * seeds}")
    scores = np.array([np.nan if s is None else s for s in entry.scores], dtype=float).reshape(splits, seeds)
    finite = np.isfinite(scores)
    if not finite.any(axis=1).all():
        return None
    return np.where(finite, scores, 0).sum(axis=1) / finite.sum(axis=1)


def _best(case: _Case) -> str:
    """The network with the best mean, unless a rival is decidedly better than it."""
    if not case.networks:
        return case.entries[0].name if case.entries else ""
    network = case.networks[0]
    rivals = (e.name for e in case.entries if e.rival)
    return next((r for r in rivals if case.pair(r, network).better >= case.level), network)


def _equals(case: _Case, best: str, equal: Sequence[str]) -> list[str]:
    """Clauses: what is as good as the best, what of it is cheapest, and whether the linear model is."""
    if not equal:
        return []
    clauses = [f"practically equal to it (within {case.number(case.rope)}): {listed(equal)}"]
    cheapest = min([best, *equal], key=case.seconds)
    if cheapest != best:
        clauses.append(f"the cheapest of these is {cheapest}, at {duration(case.seconds(cheapest))} a training")
    return clauses + ["a linear model does as well"] * (LINEAR in equal)


def _all_equal(case: _Case, best: str, equal: Sequence[str]) -> str:
    """The sentence where no network is better than another."""
    cheapest = min(case.networks, key=case.seconds)
    what = "Both networks" if len(case.networks) == 2 else f"All {count(len(case.networks))} networks"
    clauses = [
        f"{what} are practically equal, within {case.number(case.rope)} of {best} "
        f"({printed(case.metric)} {case.score(best)})",
        f"the cheapest is {cheapest}, at {duration(case.seconds(cheapest))} a training",
    ]
    return "; ".join(clauses + ["a linear model does as well"] * (LINEAR in equal)) + "."


def _use(case: _Case, best: str) -> str:
    """The sentence of a decided comparison."""
    network, pairs = case.networks[0], case.others(best)
    equal = [p.second for p in pairs if p.equal >= case.level]
    if best == network and len(case.networks) > 1 and set(case.networks) <= {best, *equal}:
        return _all_equal(case, best, equal)
    if best == network:
        use, whose = f"Use {best}", pairs[0].second
        beaten = None if equal else pairs[0]
    else:
        use, whose = f"Use {best} rather than a network", f"the best network, {network},"
        beaten = next(p for p in pairs if p.second == network)
    claim = f"its {printed(case.metric)} of {case.score(best)} is "
    if beaten:
        comparative = "higher" if case.sign > 0 else "lower"
        claim += (
            f"{comparative} than that of {whose} by {case.number(beaten.difference)} "
            f"(probability {beaten.better:.2f} that the difference is more than {case.number(case.rope)})"
        )
    else:
        claim += "not exceeded in practice by any other"
    cost = f"it cost {duration(case.seconds(best))} a training"
    return f"{use}: {'; '.join([claim, cost, *_equals(case, best, equal)])}."


def _outlook(case: _Case, best: str, unsettled: Sequence[str]) -> str:
    """The clause on how many splits would settle the pairs that are open."""
    if case.splits == 1:
        return "one split says nothing of the spread, so use at least three"
    needed = [splits_to_decide(case.gap(best, name), case.rope, case.level, cap=MOST_SPLITS) for name in unsettled]
    hard = [name for name, n in zip(unsettled, needed, strict=True) if n is None]
    if hard:
        return f"more splits alone would not settle {best} against {listed(hard)}"
    most = max(n for n in needed if n is not None)
    return f"about {most} splits instead of {case.splits} would decide, if the differences stay as they are"


def _undecided(case: _Case, best: str) -> str:
    """The sentence of a comparison that is not decided."""
    unsettled = [p for p in case.others(best) if max(p.better, p.equal) < case.level]
    names = [p.second for p in unsettled]
    place = "leads" if best == case.entries[0].name else "is the best network"
    clauses = [
        f"{best} {place} ({printed(case.metric)} {case.score(best)}), but {listed(names)} may be as good or better",
        _outlook(case, best, names),
    ]
    if best != case.networks[0]:
        clauses.append(f"{best} is decidedly better than the best network, {case.networks[0]}")
    elif max(p.worse for p in unsettled) <= 1 - case.level:
        margin = case.number(case.rope)
        clauses.append(f"{best} is a safe choice, for none is likely to be better by more than {margin}")
    return f"Not decided: {'; '.join(clauses)}."


def _sentence(case: _Case, best: str, decided: bool, given: Sequence[Entry]) -> str:
    score = f"{best} ({printed(case.metric)} {case.score(best)})" if best else ""
    if not case.networks:
        none = all(e.rival for e in given)
        why = "none was given" if none else "in some split every training of each diverged"
        return f"No network can be judged: {why}{f'; the best rival is {score}' if best else ''}."
    if len(case.entries) == 1:
        return f"Not decided: only {score} can be judged, there is nothing to compare it with."
    return _use(case, best) if decided else _undecided(case, best)


def _warnings(case: _Case, given: Sequence[Entry], test_rows: int | None) -> list[str]:
    said = []
    for entry in given:
        lost = sum(s is None or not math.isfinite(s) for s in entry.scores)
        if lost:
            consequence = "" if entry.name in case.scores else ", so that it could not be judged"
            said.append(f"{entry.name} diverged in {lost} of {len(entry.scores)} trainings{consequence}")
    for name in case.networks:
        if CONSTANT in case.scores and case.gap(name, CONSTANT).mean() <= 0:
            scores = f"{case.score(name)} against {case.score(CONSTANT)}"
            said.append(f"{name} is no better than the constant prediction ({scores})")
    if case.splits == 1:
        said.append("one split shows no spread, so that nothing can be decided")
    if test_rows is not None and test_rows < FEW_TEST_ROWS:
        said.append(f"a test part has only {test_rows} rows, so that one row is {1 / test_rows:.1%} of it")
    return said


def judge(
    entries: Sequence[Entry],
    *,
    metric: str,
    higher_is_better: bool,
    rope: float,
    splits: int,
    seeds: int,
    level: float = 0.95,
    test_rows: int | None = None,
) -> Verdict:
    """Compare every two methods and say which to use.

    The seeds of a split are averaged first: they share a test part, so they are no further evidence. Pairs
    are compared split by split with the correlated Bayesian t-test (`statistics.correlated_t_probabilities`).

    Args:
        entries: networks and rivals, each with ``splits * seeds`` scores.
        metric: the name of the metric.
        higher_is_better: its direction.
        rope: half the width of the region of practical equivalence, in units of the metric.
        splits: the number of splits.
        seeds: the number of seeds in each split.
        level: the probability from which on a pair counts as decided.
        test_rows: rows in a test part, for the warning that they are too few.

    Raises:
        LaminaError: two entries of one name, or a number of scores other than ``splits * seeds``.
    """
    names = [e.name for e in entries]
    if len(set(names)) < len(names):
        raise LaminaError(f"each method has to be named once, not {', '.join(names)}")
    sign = 1 if higher_is_better else -1
    scores = {e.name: s for e in entries if (s := _by_split(e, splits, seeds)) is not None}
    judged = (e for e in entries if e.name in scores)
    ranked = sorted(judged, key=lambda e: (-sign * scores[e.name].mean(), e.rival, e.name))
    case = _Case(tuple(ranked), scores, splits, sign, metric, rope, level)
    best = _best(case)
    against = case.others(best)
    decided = bool(case.networks and against) and all(max(p.better, p.equal) >= level for p in against)
    return Verdict(
        best=best,
        network=next(iter(case.networks), ""),
        decided=decided,
        sentence=_sentence(case, best, decided, entries),
        pairs=tuple(case.pair(a.name, b.name) for a, b in combinations(ranked, 2)),
        warnings=tuple(_warnings(case, entries, test_rows)),
    )
