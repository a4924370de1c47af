"""The report: one HTML file that opens without a network, the verdict first.

It is made from summaries (``summary.json``) alone. The page, its style and its script lie in ``page/``; Jinja
escapes whatever comes from data, and a content security policy keeps the file from loading anything.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from lamina.errors import LaminaError
from lamina.files import finite, write_text
from lamina.study import plots
from lamina.study.leaderboard import Row, Summary, leaderboard
from lamina.study.plots import Figure
from lamina.study.ranking import Ranking, ranking
from lamina.study.wording import duration, listed, number, printed, short

NOTHING_YET = {"best": "", "decided": False, "sentence": "Nothing can be said yet: no split is whole."}


@dataclass(frozen=True)
class Plot:
    """A place for figures on the page; where there are several, the reader chooses one by its label."""

    id: str
    choices: list[dict[str, Any]]
    alt: str
    caption: str
    choose: str = ""


@dataclass(frozen=True)
class Study:
    """A summary with what the page shows of it; captions and plots come from the same sorted rows."""

    id: str
    summary: Summary
    rows: list[Row]
    intervals: Plot | None
    costs: list[Plot]
    pairs: Plot | None
    curves: Plot | None


def _direction(summary: Summary) -> str:
    return "higher is better" if summary["higher_is_better"] else "lower is better"


def _plot(id: str, figure: Figure, alt: str, caption: str) -> Plot:
    return Plot(id, [{"label": "", "figure": figure}], alt, caption)


def _intervals(id: str, summary: Summary, rows: list[Row]) -> Plot | None:
    metric, rope = summary["metric"], summary["rope"]
    shown = plots.in_view(rows, rope)
    if not shown:
        return None
    hidden = [f"{r.name} ({number(r.mean, rope)})" for r in rows if r.mean is not None and r not in shown]
    caption = f"Mean over the splits and its 95 % interval; {_direction(summary)}, the best is on top."
    if hidden:
        caption += f" Too far off to be drawn: {listed(hidden, most=len(hidden))}."
    alt = f"{printed(metric)} of {listed([r.name for r in shown], most=len(shown))}, best first"
    return _plot(id, plots.intervals(rows, metric, rope), alt, caption)


def _costs(id: str, summary: Summary, rows: list[Row]) -> list[Plot]:
    found = []
    for cost, title in (
        ("seconds", "seconds a training"),
        ("params", "parameters"),
        ("flops", "FLOPs a row"),
    ):
        figure = plots.against(rows, cost, title, summary["metric"], summary["rope"])
        if figure:
            caption = f"{printed(summary['metric'])} ({_direction(summary)}) against {title}."
            found.append(_plot(f"{id}-{cost}", figure, caption, caption))
    return found


def _pairs(id: str, summary: Summary, rows: list[Row]) -> Plot | None:
    """For each method, the probabilities against all others, in the order of the leaderboard."""
    known: dict[tuple[str, str], tuple[float, float, float]] = {}
    for p in summary["verdict"].get("pairs") or []:
        known[p["first"], p["second"]] = p["better"], p["equal"], p["worse"]
        known[p["second"], p["first"]] = p["worse"], p["equal"], p["better"]
    choices = []
    for row in rows:
        others = [(o.name, *known[row.name, o.name]) for o in rows if (row.name, o.name) in known]
        if others:
            choices.append({"label": row.name, "figure": plots.pairs(row.name, others)})
    if not choices:
        return None
    best = summary["verdict"].get("best")
    choices.sort(key=lambda c: c["label"] != best)  # stable: the best first, then as in the leaderboard
    rope = number(summary["rope"], summary["rope"])
    caption = f"Probability that the chosen method is better by more than {rope}, practically equal, or worse."
    return Plot(id, choices, caption, caption, "How probably is")


def _curves(id: str, summary: Summary, rows: list[Row]) -> Plot | None:
    entries = {e["name"]: e for e in summary.get("networks") or []}
    drawn = [(r.name, plots.curves(entries[r.name].get("curves") or [])) for r in rows if r.name in entries]
    choices = [{"label": name, "figure": figure} for name, figure in drawn if figure]
    caption = "Loss over the epochs, a line for each training; the best weights by validation loss are kept."
    return Plot(id, choices, caption, caption, "Network") if choices else None


def _study(summary: Summary, id: str) -> Study:
    summary = {**finite(summary), "verdict": finite(summary.get("verdict")) or NOTHING_YET}
    rows = leaderboard(summary)
    return Study(
        id=id,
        summary=summary,
        rows=rows,
        intervals=_intervals(f"{id}-intervals", summary, rows),
        costs=_costs(id, summary, rows),
        pairs=_pairs(f"{id}-pairs", summary, rows),
        curves=_curves(f"{id}-curves", summary, rows),
    )


def _ranks(rank: Ranking) -> Plot:
    caption = (
        f"Mean ranks over {len(rank.means)} data sets, of predictions averaged over the seeds. Methods that share a "
        "bar on the right cannot be told apart: they are less than the critical difference of "
        f"{rank.cd:.2f} apart (Nemenyi, 5 %)."
    )
    return _plot("ranks", plots.ranks(rank.names, rank.mean_ranks, rank.cd), caption, caption)


def _setting(setting: Mapping[str, Any] | None) -> str:
    """A setting as a phrase: learning rate 0.003, dropout 0.1."""
    values = (
        f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in (setting or {}).items()
    )
    return ", ".join(values) or "–"


def _papers(studies: Sequence[Study]) -> list[str]:
    cited = (
        e.get("paper") for s in studies for e in [*(s.summary.get("networks") or []), *(s.summary.get("rivals") or [])]
    )
    return sorted({paper for paper in cited if paper}, key=str.casefold)


def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("lamina.study", "page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    env.filters |= {
        "score": lambda value, rope: "–" if value is None else number(value, rope),
        "short": lambda value: "–" if value is None else short(value),
        "duration": lambda seconds: "–" if seconds is None else duration(seconds),
        "metric": printed,
        "direction": _direction,
        "setting": _setting,
        "listed": listed,
        "tally": lambda names: ", ".join(f"{n} ({k})" for n, k in Counter(names).most_common()),
    }
    return env


def _write(path: str | os.PathLike[str], **view: Any) -> Path:
    from plotly.offline import get_plotlyjs

    env = _environment()
    page = Path(__file__).parent / "page"
    assets = {name: Markup((page / f"report.{name}").read_text(encoding="utf-8")) for name in ("css", "js")}
    text = env.get_template("report.html").render(plotly=Markup(get_plotlyjs()), **assets, **view)
    path = Path(path)
    write_text(path, text)
    return path


def write_report(summary: Summary, path: str | os.PathLike[str]) -> Path:
    """Write the report of one study.

    Args:
        summary: the content of ``summary.json``.
        path: the HTML file to write; its folder is made if need be, a report that is there is replaced.

    Returns:
        The path.
    """
    study = _study(summary, "s0")
    return _write(path, studies=[study], ranking=None, ranks=None, papers=_papers([study]))


def write_reports(summaries: Sequence[Summary], path: str | os.PathLike[str]) -> Path:
    """Write one report of several studies: mean ranks and critical differences first, then each study.

    Raises:
        LaminaError: there is no summary.
    """
    if not summaries:
        raise LaminaError("a report needs at least one summary, none was given")
    studies = [_study(summary, f"s{at}") for at, summary in enumerate(summaries)]
    rank = ranking([study.summary for study in studies]) if len(studies) > 1 else None
    return _write(path, studies=studies, ranking=rank, ranks=rank and _ranks(rank), papers=_papers(studies))
