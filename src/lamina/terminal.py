"""What is said on the terminal: progress on standard error, tables and verdicts on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina.evidence.evidence import Evidence
    from lamina.study.study import Study
    from lamina.study.work import Progress


class Bar:
    """A progress bar on standard error, with the time left."""

    def __init__(self, progress: Any) -> None:
        self.progress, self.task = progress, progress.add_task("reading", total=1.0)
        self.workers = ""

    def __call__(self, progress: Progress) -> None:
        job = progress.job
        self.task_done(f"{job.system}, split {job.split + 1}" if job else "waiting", progress.done, progress.workers)

    def task_done(self, text: str, done: float, workers: str) -> None:
        """Show what was done last, the share of everything, and once who computes."""
        if workers != self.workers and not self.progress.disable:
            self.progress.console.print(workers, highlight=False)
        self.workers = workers
        self.share(text, done)

    def share(self, text: str, done: float) -> None:
        """Show what is being done, and the share of everything that is done."""
        self.progress.update(self.task, description=text, completed=done)


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A bar that vanishes when it is done; nothing at all where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description:<30}"), BarColumn(), TaskProgressColumn())
    left = (TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, *left, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress)


def show_study(study: Study) -> None:
    """Print the leaderboard, the verdict, what is worth knowing about them, and where the files are."""
    summary, verdict = study.summary, study.verdict
    data = summary["data"]
    print(
        f"{data['name']}: {summary['rows']} rows, {data['features']} columns, {summary['task']} target "
        f"{data['target']!r}; {summary['splits']} splits x {summary['seeds']} seeds, "
        f"{summary['n_settings']} settings, {summary['params']:,} parameters\n"
    )
    arrow = "higher is better" if summary["higher_is_better"] else "lower is better"
    rows = [
        (
            r["name"],
            r["kind"],
            _number(r[summary["metric"]]),
            f"{_number(r['low'])} to {_number(r['high'])}",
            "" if r["params"] is None else f"{r['params']:,}",
            f"{r['fit_seconds']:.2f}",
            str(r["diverged"] or ""),
        )
        for r in study.leaderboard().iter_rows(named=True)
    ]
    print_table(
        (
            "name",
            "kind",
            f"{summary['metric']} ({arrow})",
            "95 % interval",
            "parameters",
            "seconds",
            "diverged",
        ),
        rows,
        numbers=range(2, 7),
    )
    print(f"\n{verdict.sentence}")
    for warning in [*verdict.warnings, *summary["warnings"]]:
        print(f"Note: {warning}")
    for error in summary["errors"]:
        print(f"Left out: {error['network']}: {error['message']}")
    if summary["undone"]:
        print(f"Not done: {', '.join(summary['undone'])}; --resume goes on")
    print(f"\nReport: {study.folder / 'report.html'}\nModel:  {study.folder / 'model'}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def show_evidence(evidence: Evidence) -> None:
    """Print what was claimed, what was measured, and the verdict."""
    from lamina.evidence.evidence import chance

    print(f"{evidence.name}: {evidence.says}")
    print(f"{evidence.paper}; {evidence.where}")
    print_table(
        ("metric", "target", "against", "system", "baseline", "effect over the seeds", "chance", "verdict"),
        [
            (
                f["metric"],
                f["target"],
                f["against"] or "",
                _number(f["system"]),
                "" if f["against"] is None else _number(f["baseline"]),
                f"{_number(f['effect'])} ({_number(f['low'])} to {_number(f['high'])})",
                chance(f),
                f["verdict"],
            )
            for f in evidence.findings
        ],
        numbers=(3, 4, 5, 6),
    )
    seeds, seconds = len(evidence.seeds), evidence.seconds
    print(f"{evidence.verdict.capitalize()} at scale {evidence.scale}: {seeds} seeds, {seconds:.1f} s")
    if evidence.verdict != "holds":
        print(f"Why it may differ: {evidence.limits}")
    print()


def print_claims(found: Sequence[Evidence]) -> None:
    """Print one line for each claim."""
    rows = []
    for e in found:
        effects = "\n".join(
            f"{f['metric']}: {_number(f['effect'])} ({f['target']}{' against ' + f['against'] if f['against'] else ''})"
            for f in e.findings
        )
        run = f"{e.date[:10]}, {e.scale}, {len(e.seeds)} seeds"
        rows.append((e.name, e.says, effects, e.verdict, run, e.environment["machine"]))
    print_table(("name", "what is claimed", "what was measured", "verdict", "when", "on what"), rows)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    import json

    print(json.dumps(value, indent=1, ensure_ascii=False))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> None:
    """Print a table; the columns with these `numbers` are aligned to the right. A pipe gets 160 characters a line."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, title in enumerate(header):
        table.add_column(title, justify="right" if i in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
