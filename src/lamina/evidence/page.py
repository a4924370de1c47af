"""The evidence as pages: one HTML file that opens without a network, and Markdown for the documentation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from lamina.errors import LaminaError
from lamina.evidence.claim import find, names
from lamina.evidence.evidence import Evidence, chance, counted
from lamina.files import write_text
from lamina.study.wording import duration

READING = (
    "Numbers are medians over the seeds, with the smallest and the largest effect in brackets; chance is the "
    "probability of margins as clear as these if the bound were met exactly, where it is missed after a correction for "
    "the number of comparisons. A claim holds when every target is "
    "reached at 5 %, and does not hold when one is missed at 5 % after a correction for their number."
)
STATE = {"holds": "yes", "does not hold": "no", "not decided": "open"}


def write_page(found: Sequence[Evidence], path: Path) -> Path:
    """Write the page of all claims, verdicts of every kind alike, and return its path."""
    styles = (("lamina.study", "report.css"), ("lamina.evidence", "claims.css"))
    css = "".join(PackageLoader(package, "page").get_source(_ENVIRONMENT, name)[0] for package, name in styles)
    write_text(path, _render("claims.html", found, css=Markup(css), state=STATE))
    return path


def write_markdown(found: Sequence[Evidence], folder: Path) -> None:
    """Write ``claims.md`` and, in ``images/claims``, its drawings; those of claims that are gone go."""
    drawings = {folder / "images" / "claims" / f"{e.name}.svg": e.plot() for e in found}
    for stale in set((folder / "images" / "claims").glob("*.svg")) - drawings.keys():
        stale.unlink()
    for path, drawing in drawings.items():
        drawing.save(path)
    write_text(folder / "claims.md", _render("claims.md", found))


def cited(paper: str) -> str:
    """A citation with its arXiv id or DOI as a link, in Markdown."""
    paper = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", paper)
    return re.sub(r"\bdoi:(10\.\S+?)(?=[.,;]?(\s|$))", r"[doi:\1](https://doi.org/\1)", paper, flags=re.I) or "-"


def _render(template: str, found: Sequence[Evidence], **view: Any) -> str:
    return _ENVIRONMENT.get_template(template).render(found=found, count=counted(found), reading=READING, **view)


def _outdated(evidence: Evidence) -> bool:
    """Whether the files that were measured are others now."""
    try:
        return evidence.name in names() and find(evidence.name).fingerprint != evidence.fingerprint
    except LaminaError:
        return True


def _budget(arm: Mapping[str, Any]) -> str:
    """What the networks of an arm cost, in words."""
    sizes, steps = sorted({p for seed in arm["params"] for p in seed}), sorted(set(arm["steps"]))
    words = [f"{_span(sizes)} parameters"] if sizes else []
    words += [f"{_span(steps)} steps a seed"] if steps and steps[-1] else []
    return ", ".join(words) or "no training"


def _span(numbers: Sequence[int]) -> str:
    ends = dict.fromkeys((numbers[0], numbers[-1]))
    return " to ".join(f"{n:,}" for n in ends)


def _seeds(numbers: Sequence[int]) -> str:
    whole = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole and len(numbers) > 1 else ", ".join(map(str, numbers))


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _machine(evidence: Evidence) -> str:
    e = evidence.environment
    return f"{e['machine']}, {e['system']}, lamina {e['lamina']}, torch {e['torch']}"


def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("lamina.evidence", "page"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "short": lambda value: "–" if value is None else f"{value:.3g}",
        "duration": duration,
        "cited": cited,
        "sentence": _sentence,
        "budget": _budget,
        "seeds": _seeds,
        "chance": lambda finding: chance(finding) or "–",
        "machine": _machine,
        "outdated": _outdated,
    }
    return env


_ENVIRONMENT = _environment()
