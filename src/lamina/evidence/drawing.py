"""A drawing of evidence: every seed a dot, the system above its baseline, pairs joined."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from lamina.evidence.evidence import Evidence
from lamina.files import write_text

WIDTH, LEFT, RIGHT = 720, 190, 20
TITLE, LINE, AXIS = 38, 22, 32  # heights
SYSTEM, BASELINE, BOUND, TEXT = "#3b82b8", "#a58a5f", "#c2573f", "#808890"  # readable on white and on black
SPREAD = 20  # times the smallest number from which on an axis is logarithmic


class Drawing:
    """An SVG: ``str(drawing)`` is its text, a notebook shows it, `save` writes it."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def __str__(self) -> str:
        return self.svg

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> None:
        """Write the SVG file."""
        write_text(Path(path), self.svg)


def draw(evidence: Evidence) -> Drawing:
    """Draw each finding: a dot for each seed, over an axis that is logarithmic where the numbers span much."""
    parts, y = [], 0
    for finding in evidence.findings:
        metric, against = finding["metric"], finding["against"]
        rows = [(evidence.name, evidence.system["values"][metric], SYSTEM)]
        if against is not None:
            rows.append((against, evidence.arms[against]["values"][metric], BASELINE))
        bound = None if against is not None else float(finding["target"].rpartition(" ")[2])
        asked = f"{finding['target']}{f' against {against}' if against else ''}: {finding['verdict']}"
        part, height = _panel((metric, asked), rows, bound)
        parts.append(f'<g transform="translate(0 {y})">{part}</g>')
        y += height
    label = html.escape(f"{evidence.name}: {evidence.verdict}")
    return Drawing(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        f'role="img" aria-label="{label}" font-family="system-ui, sans-serif" font-size="12" fill="{TEXT}">'
        f"{''.join(parts)}</svg>\n"
    )


def _panel(
    titles: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None], str]], bound: float | None
) -> tuple[str, int]:
    numbers = [v for _, values, _ in rows for v in values if v is not None] + ([] if bound is None else [bound])
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    log = low > 0 and high / low > SPREAD
    place = _scale(low, high, log)
    bottom = TITLE + LINE * len(rows)
    found = [f'<text x="0" y="{14 + 16 * i}">{html.escape(text)}</text>' for i, text in enumerate(titles)]
    found.append(f'<path d="M{LEFT} {bottom}H{WIDTH - RIGHT}" stroke="{TEXT}" stroke-opacity=".5"/>')
    for value, anchor in ((low, "start"), (high, "end")) if high > low else ((low, "middle"),):
        found.append(f'<text x="{place(value):.1f}" y="{bottom + 14}" text-anchor="{anchor}">{value:.3g}</text>')
    if bound is not None:
        found.append(f'<path d="M{place(bound):.1f} {TITLE}V{bottom}" stroke="{BOUND}" stroke-dasharray="3 2"/>')
    middles = [TITLE + LINE * (i + 0.5) for i in range(len(rows))]
    for pair in zip(*(values for _, values, _ in rows), strict=True) if len(rows) > 1 else ():
        if None not in pair:
            points = " ".join(f"{place(v):.1f},{m}" for v, m in zip(pair, middles, strict=True) if v is not None)
            found.append(f'<polyline points="{points}" fill="none" stroke="{TEXT}" stroke-opacity=".35"/>')
    for (name, values, colour), middle in zip(rows, middles, strict=True):
        found.append(f'<text x="{LEFT - 12}" y="{middle + 4}" text-anchor="end">{html.escape(name)}</text>')
        dots = (f'<circle cx="{place(v):.1f}" cy="{middle}" r="4"/>' for v in values if v is not None)
        found.append(f'<g fill="{colour}" fill-opacity=".75">{"".join(dots)}</g>')
    return "".join(found), bottom + AXIS


def _scale(low: float, high: float, log: bool):
    """A function from a number to its place from left to right."""
    a, b = (math.log(low), math.log(high)) if log else (low, high)
    width = WIDTH - RIGHT - LEFT

    def place(value: float) -> float:
        share = 0.5 if b == a else ((math.log(value) if log else value) - a) / (b - a)
        return LEFT + 6 + (width - 12) * share

    return place
