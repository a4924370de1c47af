"""Is one method better than another? Tests for scores that are paired by split, and by data set.

Scores of the splits of one table are not independent: their training parts overlap. Every formula for one
table therefore takes the variance of a mean over `n` splits as ``(1/n + q/(1-q)) s^2``, where ``q`` is the
share of the rows that is tested, instead of ``s^2/n``. It does not vanish as `n` grows: more splits of the
same rows are not more rows.

Sources:
    Nadeau and Bengio 2003, Inference for the Generalization Error, Machine Learning 52(3),
    doi:10.1023/A:1024068626366.

    Corani and Benavoli 2015, A Bayesian approach for comparing cross-validated algorithms on multiple data
    sets, Machine Learning 100, doi:10.1007/s10994-015-5486-z.

    Benavoli, Corani, Demšar and Zaffalon 2017, Time for a Change: a Tutorial for Comparing Multiple
    Classifiers Through Bayesian Analysis, JMLR 18(77).

    Demšar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from lamina.errors import LaminaError

TEST_FRACTION = 0.2  # the test part of a fold of five


def _vector(what: str, values: ArrayLike, test_fraction: float) -> np.ndarray:
    """`values` as a float vector, one per split; refused when empty or not finite."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise LaminaError(f"{what} have to be finite numbers, one per split, not {array.tolist()}")
    if not 0 < test_fraction < 1:
        raise LaminaError(f"test_fraction has to lie between 0 and 1, not {test_fraction}")
    return array


def _scale(deviation: float, n: ArrayLike, test_fraction: float) -> np.ndarray:
    """Standard error of a mean over `n` overlapping splits: ``s sqrt(1/n + q/(1-q))``."""
    return deviation * np.sqrt(1 / np.asarray(n, dtype=float) + test_fraction / (1 - test_fraction))


def _deviation(values: np.ndarray) -> float:
    """Sample standard deviation; rounding in the mean of equal values is not taken for spread."""
    largest = float(np.abs(values).max())
    if np.ptp(values) <= 1e-12 * largest:
        return 0.0
    return float((values / largest).std(ddof=1)) * largest  # squares of very small values would vanish


def _three(mean: float, deviation: float, n: ArrayLike, rope: float, test_fraction: float) -> np.ndarray:
    """P(better), P(equal), P(worse) for each number of splits in `n`, stacked along the first axis."""
    n = np.asarray(n)
    if deviation == 0:
        point = [mean > rope, abs(mean) <= rope, mean < -rope]
        return np.multiply.outer(np.array(point, dtype=float), np.ones(n.shape))
    scale = _scale(deviation, n, test_fraction)
    with np.errstate(over="ignore"):  # beside a tiny spread every distance is infinite
        better = stats.t.sf((rope - mean) / scale, n - 1)
        worse = stats.t.cdf((-rope - mean) / scale, n - 1)
    return np.stack([better, np.maximum(0.0, 1 - better - worse), worse])


def correlated_t_probabilities(
    differences: ArrayLike, rope: float, test_fraction: float = TEST_FRACTION
) -> tuple[float, float, float]:
    r"""Bayesian correlated t-test: how probable is it that the first is better, practically equal, worse?

    The posterior of the mean difference is a Student distribution with ``n - 1`` degrees of freedom, the mean
    :math:`\bar d` and the scale :math:`s\sqrt{1/n + \rho/(1-\rho)}`; the correlation :math:`\rho` between two
    splits is taken to be the test fraction. The probabilities are its masses above `rope`, within ``[-rope,
    rope]`` and below ``-rope``.

    Args:
        differences: (splits,) score of the first minus score of the second, turned so that positive means
        that the
            first is better.
        rope: half the width of the region of practical equivalence, in the unit of the scores; at least 0.
        test_fraction: share of the rows in a test part; a fifth, as in 5-fold cross-validation.

    Returns:
        (better, equal, worse), which add up to 1. With differences that are all the same, the whole mass is
        where they are. With one difference nothing is known of the spread, and each is 1/3.

    Raises:
        LaminaError: no differences, or some that are not finite; a rope below 0; a fraction outside (0, 1).
    """
    d = _vector("differences", differences, test_fraction)
    if rope < 0:
        raise LaminaError(f"rope has to be at least 0, not {rope}")
    if d.size == 1:
        return 1 / 3, 1 / 3, 1 / 3
    better, equal, worse = _three(float(d.mean()), _deviation(d), d.size, rope, test_fraction).tolist()
    return better, equal, worse


def corrected_t_test(differences: ArrayLike, test_fraction: float = TEST_FRACTION) -> float:
    r"""Two-sided p-value of the corrected resampled t-test of Nadeau and Bengio (2003).

    :math:`t = \bar d / (s\sqrt{1/n + q/(1-q)})` with ``n - 1`` degrees of freedom, where ``q/(1-q)`` is the
    ratio of test rows to training rows.

    Args:
        differences: (splits,) paired differences.
        test_fraction: share ``q`` of the rows in a test part.

    Returns:
        The p-value; 1 for a single difference, and 0 or 1 for equal differences that are not, or are, zero.
    """
    d = _vector("differences", differences, test_fraction)
    deviation = _deviation(d) if d.size > 1 else 0.0
    if d.size == 1 or deviation == 0:
        return float(d.size == 1 or d[0] == 0)
    return float(2 * stats.t.sf(abs(d.mean()) / _scale(deviation, d.size, test_fraction), d.size - 1))


def interval(
    scores: ArrayLike, test_fraction: float = TEST_FRACTION, level: float = 0.95
) -> tuple[float, float, float]:
    """Mean score over the splits with its confidence interval, by the corrected t distribution.

    Args:
        scores: (splits,) one score per split.
        test_fraction: share of the rows in a test part.
        level: coverage of the interval.

    Returns:
        (mean, low, high); `low` and `high` are NaN for a single split, which says nothing of the spread.
    """
    x = _vector("scores", scores, test_fraction)
    mean = float(x.mean())
    if x.size == 1:
        return mean, float("nan"), float("nan")
    half = float(stats.t.isf((1 - level) / 2, x.size - 1) * _scale(_deviation(x), x.size, test_fraction))
    return mean, mean - half, mean + half


def splits_to_decide(
    differences: ArrayLike,
    rope: float,
    level: float = 0.95,
    test_fraction: float = TEST_FRACTION,
    cap: int = 1000,
) -> int | None:
    """How many splits in all would decide a pair, if mean and spread of the differences stayed as they are.

    A pair is decided when one of the three probabilities of `correlated_t_probabilities` reaches `level`.

    Args:
        differences: (splits,) the differences so far.
        rope: half the width of the region of practical equivalence.
        level: the probability that decides.
        test_fraction: share of the rows in a test part.
        cap: the largest number looked at; since the error of the mean does not vanish, most pairs that are
        not
            decided by then never are.

    Returns:
        The number, which is that of `differences` when they decide already; None when `cap` splits would not
        do, or when there is only one difference.
    """
    d = _vector("differences", differences, test_fraction)
    if d.size == 1:
        return None
    numbers = np.arange(d.size, max(cap, d.size) + 1)
    enough = _three(float(d.mean()), _deviation(d), numbers, rope, test_fraction).max(axis=0) >= level
    return int(numbers[enough.argmax()]) if enough.any() else None


def _table(scores: ArrayLike) -> np.ndarray:
    table = np.asarray(scores, dtype=float)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise LaminaError(f"scores have to be a table of data sets by at least two methods, not of shape {table.shape}")
    return table


def friedman(scores: ArrayLike, higher_is_better: bool) -> tuple[np.ndarray, float, float]:
    r"""Friedman test: do the methods' mean ranks over the data sets differ by more than chance?

    With the ranks :math:`r_{ij}` of the `k` methods on `N` data sets and :math:`m = (k+1)/2`, the statistic
    is :math:`(k-1)\,N^2 \sum_j (\bar r_j - m)^2 / \sum_{ij} (r_{ij} - m)^2`, which is Friedman's chi-square
    corrected for ties, with ``k - 1`` degrees of freedom.

    Args:
        scores: (datasets, methods); a missing score (NaN) ranks last on its data set.
        higher_is_better: the direction of the scores.

    Returns:
        (mean ranks (methods,), where 1 is best and ties share their mean rank; statistic; p-value).
    """
    table = _table(scores)
    losses = -table if higher_is_better else table
    ranks = stats.rankdata(np.where(np.isnan(losses), np.inf, losses), axis=1)
    n, k = ranks.shape
    mean_ranks, middle = ranks.mean(axis=0), (k + 1) / 2
    within = float(((ranks - middle) ** 2).sum())
    if within == 0:
        return mean_ranks, 0.0, 1.0
    statistic = float((k - 1) * n * n * ((mean_ranks - middle) ** 2).sum() / within)
    return mean_ranks, statistic, float(stats.chi2.sf(statistic, k - 1))


def critical_difference(n_methods: int, n_datasets: int, alpha: float = 0.05) -> float:
    r"""Nemenyi's critical difference: mean ranks that are at least so far apart differ at the level `alpha`.

    :math:`CD = q_\alpha \sqrt{k(k+1)/(6N)}`, where :math:`q_\alpha` is the quantile of the studentised
    range for `k` groups and infinite degrees of freedom, divided by :math:`\sqrt 2` (Demšar 2006, table 5).
    """
    if n_methods < 2 or n_datasets < 1:
        raise LaminaError(f"a critical difference needs 2 methods and 1 data set, not {n_methods} and {n_datasets}")
    q = stats.studentized_range.isf(alpha, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_datasets)))


def groups(mean_ranks: Sequence[float] | np.ndarray, cd: float) -> list[tuple[int, ...]]:
    """The largest sets of methods of which no two mean ranks are `cd` or more apart.

    Returns:
        Tuples of indices into `mean_ranks`, each a run in the order of the ranks, best first. Two methods
        share a group exactly when their mean ranks are less than `cd` apart; a method apart from all is a
        group of its own.
    """
    ranks = np.asarray(mean_ranks, dtype=float)
    order = np.argsort(ranks, kind="stable")
    found: list[tuple[int, ...]] = []
    reached = 0
    for start in range(len(order)):
        end = start + int((ranks[order[start:]] - ranks[order[start]] < cd).sum())
        if end > reached:
            found.append(tuple(int(i) for i in order[start:end]))
            reached = end
    return found


def holm_wilcoxon(scores: ArrayLike) -> np.ndarray:
    """p-values of Wilcoxon's signed-rank test for every two methods over the data sets, adjusted after Holm.

    Zero differences are shared out evenly between the two signs (Demšar 2006, section 3.1.3).

    Args:
        scores: (datasets, methods), commensurable between data sets; for a pair, data sets on which one of
        the two
            is missing (NaN) are left out.

    Returns:
        (methods, methods), symmetric, with ones on the diagonal.
    """
    table = _table(scores)
    k = table.shape[1]
    pairs = list(combinations(range(k), 2))
    raw = np.ones(len(pairs))
    for at, (i, j) in enumerate(pairs):
        difference = table[:, i] - table[:, j]
        difference = difference[~np.isnan(difference)]
        if difference.any():
            _, p = stats.wilcoxon(difference, zero_method="zsplit")
            raw[at] = float(p)  # pyright: ignore[reportArgumentType]
    order = raw.argsort()
    adjusted = np.minimum(1, np.maximum.accumulate(raw[order] * np.arange(len(pairs), 0, -1)))
    matrix = np.ones((k, k))
    for p, at in zip(adjusted, order, strict=True):
        i, j = pairs[at]
        matrix[i, j] = matrix[j, i] = p
    return matrix
