"""The methods of several studies, ranked over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lamina.study.leaderboard import Summary, leaderboard
from lamina.study.statistics import critical_difference, friedman, holm_wilcoxon

PICK = "Lamina's pick"


@dataclass(frozen=True)
class Ranking:
    """Methods over several data sets, best mean rank first; `means` is None where a method failed.

    Attributes:
        p_values: of each method against the first, Wilcoxon's signed-rank test adjusted after Holm, on scores
            scaled so that on each data set the worst method has 0 and the best has 1.
        same: methods whose mean rank is less than a critical difference from that of the first.
        left_out: methods that were not compared on every data set.
    """

    names: list[str]
    mean_ranks: list[float]
    wins: list[int]
    p_values: list[float]
    means: list[list[float | None]]
    statistic: float
    p_value: float
    cd: float
    same: list[str]
    left_out: list[str]


def ranking(summaries: Sequence[Summary]) -> Ranking | None:
    """Rank the methods that all summaries share, each summary in its own metric's direction.

    A method's score is that of the averaged prediction of its seeds, for the pick and for every other method alike.

    Returns:
        The ranking, or None where fewer than two methods are on every data set.
    """
    tables = []
    for summary in summaries:
        means = {row.name: row.mean if row.ensemble is None else row.ensemble for row in leaderboard(summary)}
        if summary.get("pick"):
            means[PICK] = summary["pick"].get("mean")
        tables.append(means)
    names = [name for name in tables[0] if all(name in table for table in tables)]
    if len(names) < 2:
        return None
    signs = np.array([1.0 if s["higher_is_better"] else -1.0 for s in summaries])[:, None]
    scores = signs * np.array([[table[name] for name in names] for table in tables], dtype=float)
    mean_ranks, statistic, p_value = friedman(scores, higher_is_better=True)
    low = np.where(np.isnan(scores), np.inf, scores).min(axis=1, keepdims=True)
    high = np.where(np.isnan(scores), -np.inf, scores).max(axis=1, keepdims=True)
    scaled = (scores - low) / np.where(high > low, high - low, 1)
    order = [int(i) for i in np.argsort(mean_ranks, kind="stable")]
    sorted_names, sorted_ranks = [names[i] for i in order], [float(mean_ranks[i]) for i in order]
    cd = critical_difference(len(names), len(tables))
    return Ranking(
        names=sorted_names,
        mean_ranks=sorted_ranks,
        wins=[int((scores[:, i] == high[:, 0]).sum()) for i in order],
        p_values=holm_wilcoxon(scaled)[order[0]][order].tolist(),
        means=[[table[name] for name in sorted_names] for table in tables],
        statistic=statistic,
        p_value=p_value,
        cd=cd,
        same=[n for n, r in zip(sorted_names[1:], sorted_ranks[1:], strict=True) if r - sorted_ranks[0] < cd],
        left_out=sorted({name for table in tables for name in table} - set(names)),
    )
