"""`lamina reproduce` and `lamina evidence`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lamina.cli import _arguments
from lamina.errors import LaminaError
from lamina.terminal import print_claims, print_json, progress_bar, show_evidence

if TYPE_CHECKING:
    from lamina.evidence import Evidence

EVIDENCE = Path("evidence")


def reproduce(
    names: str,
    *,
    seeds: str | None = None,
    scale: str = "quick",
    jobs: int | None = None,
    out: Path = EVIDENCE,
    json: Annotated[bool, Parameter(negative="")] = False,
    resume: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure what papers claim and say whether it holds.

    Args:
        names: of claims, with commas between them, or all; a system's claim has its name.
        seeds: how many, or which, such as 10-19; 5 by default at scale quick, else 10.
        scale: quick (seconds each), full (minutes) or paper.
        jobs: processes, each with one thread; as many as cores by default.
        out: the folder for the evidence, a file SCALE/NAME.json for each claim.
        json: print a summary as JSON, and nothing else, on standard output.
        resume: measure nothing again that the folder has already, of the same code.
    """
    from lamina.evidence import Evidence, counted, reproduce_all
    from lamina.evidence.claim import names as known

    asked = known() if names == "all" else _arguments.names(names)
    if not asked:
        raise LaminaError(f"{names!r} names no claim; there are {', '.join(known())}, or all of them: all")
    found: list[Evidence] = []
    errors: dict[str, LaminaError] = {}
    with progress_bar() as bar:
        for name, result in reproduce_all(
            asked, seeds=_arguments.seeds(seeds), scale=scale, jobs=jobs, out=out, resume=resume, progress=bar.task_done
        ):
            if isinstance(result, Evidence):
                found.append(result)
            else:
                errors[name] = result
    found.sort(key=lambda e: asked.index(e.name))
    if json:
        print_json({"claims": [evidence.summary() for evidence in found]})
    else:
        for evidence in found:
            show_evidence(evidence)
        if found:
            print(counted(found))
    if errors:
        raise LaminaError("; ".join(f"{name} could not be measured: {error}" for name, error in errors.items()))


def evidence(folder: Path = EVIDENCE, *, html: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Show the table of all claims: what is claimed, what was measured, the verdict, when and on what.

    Args:
        folder: that lamina reproduce has written; of each claim the largest scale is shown.
        html: write a page, index.html in the folder, with a plot of all seeds.
    """
    from lamina.evidence.evidence import collected, counted

    found = collected(folder)
    if html:
        from lamina.evidence.page import write_page

        print(write_page(found, folder / "index.html"))
    else:
        print_claims(found)
        print(counted(found))
