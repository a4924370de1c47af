"""Numbers, times and names as they stand in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

_COUNTS = "no one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_METRICS = {"roc_auc": "ROC AUC", "macro_auc": "macro AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}


def printed(metric: str) -> str:
    """The name of a metric as people write it: ``roc_auc`` is ROC AUC."""
    return _METRICS.get(metric, metric.replace("_", " "))


def number(value: float, rope: float) -> str:
    """`value` with one digit more than the region of practical equivalence has: 0.994 where it is 0.01."""
    digits = max(0, 1 - math.floor(math.log10(rope))) if rope > 0 else 4
    return f"{value:,.{digits}f}"


def short(value: float) -> str:
    """A large number as people say it: 850, 19.8k, 1.2M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:,.0f}"


def duration(seconds: float) -> str:
    """Seconds as people say them: 0.44 ms, 0.42 s, 8.1 s, 3.5 min, 2.0 h."""
    if seconds < 0.001:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names as a phrase, ``a, b and c``; of more than `most`, the last ones as a number: ``and 3 others``."""
    shown = list(names) if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), *shown[-1:]]))


def count(n: int) -> str:
    """A small number in letters."""
    return _COUNTS[n] if n < len(_COUNTS) else str(n)
