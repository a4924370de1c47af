"""The figures of the report, as plotly figures in plain dictionaries.

Colours are names such as ``$network``; the page replaces them by those of the reader's light or dark scheme.
Texts from outside are escaped, because plotly reads some HTML in its labels.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lamina.study.leaderboard import Row
from lamina.study.statistics import groups
from lamina.study.wording import duration, number, printed, short

Figure = dict[str, Any]
LONGEST_LABEL = 24
MOST_POINTS = 150  # of a learning curve; more are not seen on a page


def label(name: str) -> str:
    """A name as a label in a plot: shortened, and with nothing in it that plotly would read as markup."""
    short = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
    return html.escape(short, quote=False)


def _colour(row: Row) -> str:
    return "$rival" if row.rival else "$network"


def _layout(height: int, **axes: Mapping[str, Any]) -> dict[str, Any]:
    quiet = {
        "gridcolor": "$line",
        "zeroline": False,
        "linecolor": "$line",
        "automargin": True,
        "fixedrange": True,
    }
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "$muted", "size": 12, "family": "system-ui, sans-serif"},
        "hoverlabel": {"bgcolor": "$panel", "bordercolor": "$line", "font": {"color": "$ink"}},
        "dragmode": False,
        "showlegend": False,
        **{name: {**quiet, **given} for name, given in axes.items()},
    }


def _names(rows: Sequence[str]) -> dict[str, Any]:
    """A vertical axis with one method a line, the first on top."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(rows))),
        "ticktext": [label(name) for name in rows],
        "range": [len(rows) - 0.5, -0.5],
        "showgrid": False,
        "tickfont": {"color": "$ink"},
    }


def in_view(rows: Sequence[Row], rope: float) -> list[Row]:
    """The rows with a score that is near enough to the best ones to share an axis with them.

    Those farther from the best than six times the median distance are left to a note; otherwise a constant
    prediction would press all others into one dot.
    """
    scored = [row for row in rows if row.mean is not None]
    if not scored:
        return []
    distance = np.abs(np.array([row.mean for row in scored], dtype=float) - scored[0].mean)
    reach = 6 * max(float(np.median(distance)), rope)
    return [row for row, d in zip(scored, distance, strict=True) if d <= reach]


def intervals(rows: Sequence[Row], metric: str, rope: float) -> Figure:
    """Mean score and interval of each method, in the order of the leaderboard."""
    rows = in_view(rows, rope)
    data = []
    for rival in (False, True):
        mine = [(at, row) for at, row in enumerate(rows) if row.rival == rival]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [row.mean for _, row in mine],
                "y": [at for at, _ in mine],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [_distance(row.mean, row.high) for _, row in mine],
                    "arrayminus": [_distance(row.low, row.mean) for _, row in mine],
                    "color": "$rival" if rival else "$network",
                    "width": 0,
                },
                "marker": {"size": 10, "color": "$rival" if rival else "$network"},
                "text": [_interval_text(row, rope) for _, row in mine],
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    axis = {"title": {"text": printed(metric)}, "nticks": 6}
    return {
        "data": data,
        "layout": _layout(70 + 27 * len(rows), xaxis=axis, yaxis=_names([r.name for r in rows])),
    }


def _distance(low: float | None, high: float | None) -> float:
    return 0.0 if low is None or high is None else high - low


def _interval_text(row: Row, rope: float) -> str:
    text = f"<b>{html.escape(row.name)}</b><br>{number(row.mean or 0.0, rope)}"
    if row.low is not None and row.high is not None:
        text += f" [{number(row.low, rope)}, {number(row.high, rope)}]"
    return text


def against(rows: Sequence[Row], cost: str, title: str, metric: str, rope: float) -> Figure | None:
    """Score against a cost (``params``, ``flops``, ``seconds``) on a logarithmic axis; None if none is known.

    The numbers in the dots are the places in the leaderboard.
    """
    known = [row for row in in_view(rows, rope) if (getattr(row, cost) or 0) > 0]
    if not known:
        return None
    costs = [float(getattr(row, cost)) for row in known]
    low, high = np.log10(min(costs)), np.log10(max(costs))
    room = max(0.15, 0.08 * (high - low))
    say = duration if cost == "seconds" else short
    trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": costs,
        "y": [row.mean for row in known],
        "text": [str(row.place) for row in known],
        "textfont": {"color": "$paper", "size": 11},
        "marker": {
            "size": 20,
            "color": [_colour(row) for row in known],
            "line": {"color": "$paper", "width": 1.5},
        },
        "hovertext": [f"{_interval_text(r, rope)}<br>{say(c)}" for r, c in zip(known, costs, strict=True)],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }
    axis: dict[str, Any] = {"type": "log", "title": {"text": title}, "range": [low - room, high + room]}
    fine = high - low < 1
    decades = range(math.floor(low - room), math.ceil(high + room))
    ticks = [d * 10.0**e for e in decades for d in ((1, 2, 5) if fine else (1,))]
    ticks = [tick for tick in ticks if low - room <= math.log10(tick) <= high + room]
    if ticks:
        axis |= {"tickmode": "array", "tickvals": ticks, "ticktext": [say(tick) for tick in ticks]}
    return {
        "data": [trace],
        "layout": _layout(280, xaxis=axis, yaxis={"title": {"text": printed(metric)}, "nticks": 6}),
    }


def pairs(first: str, others: Sequence[tuple[str, float, float, float]]) -> Figure:
    """Probabilities that `first` is better than, practically equal to, worse than each of the others."""
    data = []
    for at, (name, colour, ink) in enumerate(
        (
            ("better", "$better", "$onbetter"),
            ("equal", "$equal", "$onequal"),
            ("worse", "$worse", "$onworse"),
        ),
        1,
    ):
        shares = [float(other[at]) for other in others]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                "x": shares,
                "y": list(range(len(others))),
                "marker": {"color": colour},
                "text": [f"{share:.2f}" if share >= 0.12 else "" for share in shares],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "textfont": {"color": ink, "size": 11},
                "customdata": [html.escape(other[0]) for other in others],
                "hovertemplate": f"{label(first)} {name}, against %{{customdata}}: %{{x:.3f}}<extra></extra>",
            }
        )
    layout = _layout(80 + 27 * len(others), xaxis={"range": [0, 1], "nticks": 6}, yaxis=_names([o[0] for o in others]))
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "traceorder": "normal"}
    return {
        "data": data,
        "layout": {**layout, "barmode": "stack", "bargap": 0.25, "showlegend": True, "legend": legend},
    }


def curves(members: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Losses over the epochs, a line for each training; None where nothing was recorded."""
    data: list[dict[str, Any]] = []
    for part, colour in (("train", "$rival"), ("validation", "$network")):
        drawn = 0
        for member in members:
            epochs, losses = _thinned(member.get(part) or [])
            if not epochs:
                continue
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines" if len(epochs) > 1 else "markers",
                    "x": epochs,
                    "y": losses,
                    "name": {"train": "training"}.get(part, part),
                    "legendgroup": part,
                    "showlegend": drawn == 0,
                    "line": {"color": colour, "width": 1.3},
                    "opacity": 0.75,
                    "hovertemplate": f"split {member['split']}, seed {member['seed']}: %{{y:.4g}}",
                }
            )
            drawn += 1
    if not data:
        return None
    positive = all(y is None or y > 0 for trace in data for y in trace["y"])
    layout = _layout(
        300,
        xaxis={"title": {"text": "epoch"}, "nticks": 6},
        yaxis={
            "title": {"text": "loss"},
            **({"type": "log", "dtick": "D2", "exponentformat": "none"} if positive else {"nticks": 6}),
        },
    )
    legend = {"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}
    return {"data": data, "layout": {**layout, "showlegend": True, "legend": legend}}


def _thinned(losses: Sequence[float | None]) -> tuple[list[int], list[float | None]]:
    """At most `MOST_POINTS` epochs of a curve, the first and the last among them, with five digits."""
    at = sorted({round(i) for i in np.linspace(0, len(losses) - 1, min(len(losses), MOST_POINTS))})
    return [i + 1 for i in at], [None if (y := losses[i]) is None else float(f"{y:.5g}") for i in at]


def ranks(names: Sequence[str], mean_ranks: Sequence[float], cd: float) -> Figure:
    """Critical-difference diagram: mean ranks, and a bar beside every group that cannot be told apart.

    Args:
        names: methods, the best mean rank first.
        mean_ranks: in the same order.
        cd: the critical difference.
    """
    k, step = len(names), 0.05 * (len(names) + 1)
    bars = [group for group in groups(mean_ranks, cd) if len(group) > 1]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": list(mean_ranks),
        "y": list(range(k)),
        "marker": {"size": 11, "color": "$network"},
        "text": [html.escape(name) for name in names],
        "hovertemplate": "%{text}: mean rank %{x:.2f}<extra></extra>",
    }
    joined = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [k + step * (at + 1)] * 2,
            "y": [group[0] - 0.2, group[-1] + 0.2],
            "line": {"color": "$ink", "width": 3},
            "hovertemplate": "not distinguishable<extra></extra>",
        }
        for at, group in enumerate(bars)
    ]
    ruler = {
        "type": "scatter",
        "mode": "lines+text",
        "x": [1, 1 + cd],
        "y": [-1, -1],
        "text": ["", f"CD {cd:.2f}"],
        "textposition": "top left",
        "textfont": {"color": "$ink"},
        "line": {"color": "$ink", "width": 2},
        "hoverinfo": "skip",
    }
    axis = {
        "title": {"text": "mean rank (1 is best)"},
        "range": [0.7, max(k, 1 + cd) + step * (len(bars) + 1)],
        "tickmode": "array",
        "tickvals": list(range(1, k + 1, max(1, round(k / 6)))),
    }
    vertical = {**_names(names), "range": [k - 0.5, -2.0]}
    return {"data": [dots, *joined, ruler], "layout": _layout(100 + 27 * k, xaxis=axis, yaxis=vertical)}
