r"""The verdict on a claim: what the numbers say, decided by the framework and never by the claim.

Of each target and baseline, every seed gives a margin: by how much the bound was reached (`Target.margins`). Seeds are
paired: system and baseline had the same data, order and budget. If the bound were met exactly, a margin would be as
likely positive as negative. So the test compares the mean margin with that of all :math:`2^n` choices of signs
(Fisher's permutation test for pairs), and

- a target is *reached* when positive margins as large as these have a probability of at most 5 %,
- *missed* when negative ones have, adjusted after Holm for the number of comparisons, because one missed target of
  many is enough to refute a claim.

A seed whose number is not finite has failed: its target cannot be reached.

A claim holds when every target is reached: since all have to be, no adjustment is needed (an intersection-union test).
It does not hold when one is missed. Else it is not decided. With 5 seeds the smallest probability is 1/32; with fewer
no comparison is decided. A bound on every value knows no chance: it is reached when each draw reaches it, else missed.

Sources:
    Fisher 1935, The Design of Experiments, section 21.

    Berger 1982, Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 24(4),
    doi:10.1080/00401706.1982.10487790.

    Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6(2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from lamina.evidence.bound import Target

LEVEL = 0.05
HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided"
Values = Mapping[str, Sequence[float]]
"""Of each metric, a number for each seed."""


@dataclass(frozen=True)
class Finding:
    """What was found about one target, against one baseline where it has any.

    Attributes:
        metric, target: what was asked, in words.
        against: the baseline.
        system, baseline: the median over the seeds.
        effect, low, high: what the target bounds: its median, smallest and largest over the seeds.
        reached, missed: probabilities, by chance alone, of margins as good and as bad as these; None for a bound on
            every value.
        verdict: ``holds``, ``does not hold`` or ``not decided``.
    """

    metric: str
    target: str
    against: str | None
    system: float
    baseline: float | None
    effect: float
    low: float
    high: float
    reached: float | None
    missed: float | None
    verdict: str


def judge(targets: Sequence[Target], values: Mapping[str, Values]) -> tuple[str, list[Finding]]:
    """The verdict on a claim and the findings that it rests on.

    Args:
        targets: of the scale that was measured.
        values: of each arm, the system first.

    Returns:
        ``holds``, ``does not hold`` or ``not decided``, and a finding for each target and baseline.
    """
    (system, *others), table = values, []
    for target in targets:
        against = [target.against] if target.against else others if target.compares else [None]
        for name in against:
            baseline = None if name is None else values[name][target.metric]
            table.append(_finding(target, name, values[system][target.metric], baseline))
    found = _adjusted(table)
    verdicts = {f.verdict for f in found}
    return (FAILS if FAILS in verdicts else HOLDS if verdicts == {HOLDS} else OPEN), found


def _finding(target: Target, against: str | None, system: Sequence[float], baseline: Sequence[float] | None) -> Finding:
    margins, effects = target.margins(system, baseline), target.effects(system, baseline)
    strict = target.of == "every value"
    return Finding(
        metric=target.metric,
        target=str(target),
        against=against,
        system=float(np.median(system)),
        baseline=None if baseline is None else float(np.median(baseline)),
        effect=float(np.median(effects)),
        low=float(np.min(effects)),
        high=float(np.max(effects)),
        reached=None if strict else 1.0 if np.isneginf(margins).any() else chance(margins),
        missed=None if strict else chance(-margins),
        verdict=(HOLDS if (margins >= 0).all() else FAILS) if strict else OPEN,
    )


def _adjusted(findings: Sequence[Finding]) -> list[Finding]:
    """The findings with their chance of being missed adjusted after Holm, and so their verdicts."""
    tested = [f for f in findings if f.missed is not None]
    raw = np.array([f.missed for f in tested])
    order = raw.argsort()
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)))
    chances = iter(adjusted.tolist())
    return [f if f.missed is None else _decided(replace(f, missed=next(chances))) for f in findings]


def _decided(f: Finding) -> Finding:
    reached, missed = (p is not None and p <= LEVEL for p in (f.reached, f.missed))
    return replace(f, verdict=HOLDS if reached else FAILS if missed else OPEN)


def chance(margins: np.ndarray) -> float:
    """The probability of a mean margin as large as this one when all signs are equally likely.

    All choices of signs are counted up to 13 seeds; beyond, 9,999 of them drawn with a constant seed. An infinite
    margin counts as twice the largest finite one.
    """
    finite = np.abs(margins[np.isfinite(margins)])
    most = 2 * float(finite.max(initial=0.0)) or 1.0
    clipped = np.clip(margins, -most, most)
    if not clipped.any():
        return 1.0
    if clipped.size == 1:
        return 0.5 if clipped[0] > 0 else 1.0
    tested = stats.permutation_test(
        (clipped, np.zeros_like(clipped)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=9_999,
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)
