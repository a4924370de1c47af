"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import math
import os
import sqlite3
import sys
import time as clock
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from lamina import __version__, catalog
from lamina.errors import LaminaError
from lamina.terminal import (
    print_claims,
    print_json,
    print_table,
    progress_bar,
    show_evidence,
    show_study,
)

BAD_INPUT, BROKEN_OFF = 2, 130
EVIDENCE = Path("evidence")
COMPARING = 0.9  # of the time of a comparison; the rest is for the report and the best model

app = App(
    name="lamina",
    version=__version__,
    help="Find out which multi-layer network helps on your data, and whether what papers claim holds.",
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an input that cannot be used ends with one line and exit code 2, without a traceback."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    kept = "; what is finished is kept, --resume goes on" if arguments[:1] in (["compare"], ["reproduce"]) else ""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that a terminal does not have is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except (LaminaError, CycloptsError) as error:
        _end(str(error), BAD_INPUT)
    except KeyboardInterrupt:
        _end(f"broken off{kept}", BROKEN_OFF)
    except (OSError, sqlite3.OperationalError) as error:
        _end(f"{error}{kept}", 1)
    except sqlite3.DatabaseError as error:
        _end(f"the study's study.sqlite is damaged: {error}", BAD_INPUT)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _deadline(began: float, time: str | None) -> float:
    """The moment at which the time of a command that began at `began` is over."""
    from lamina.study.compare import seconds

    return math.inf if time is None else began + seconds(time)


def _end(message: str, code: int) -> None:
    print(f"lamina: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


@app.command
def compare(
    data: str,
    *,
    target: str | None = None,
    networks: str = "all",
    rivals: str = "all",
    rules: str = "backprop",
    params: int = 20_000,
    splits: int = 5,
    seeds: int = 3,
    settings: int = 8,
    steps: int | None = None,
    time: str | None = None,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="")] = False,
    quick: Annotated[bool, Parameter(negative="")] = False,
    racing: Annotated[bool, Parameter(negative="")] = False,
    metric: str | None = None,
    ignore: str = "",
    task: str | None = None,
    device: str = "auto",
    jobs: int | None = None,
    memory: str | None = None,
) -> None:
    """Compare networks on a table and say which to use.

    Args:
        data: a CSV (gzipped too), Parquet or Arrow file, or the name of a bundled data set (see: lamina data).
        target: the column to predict.
        networks: names with commas between them, or all.
        rivals: what the networks are judged against: names, all, or none.
        rules: learning rules.
        params: the budget of parameters of every network.
        splits: folds of a repeated 5-fold cross-validation.
        seeds: initialisations per split.
        settings: settings of learning rate, weight decay and dropout that each network may choose from.
        steps: updates of a training at most; by default the number of rows decides.
        time: the time for all of it, such as 90s, 10m or 2h; what is not finished by then is left out.
        out: the folder of the study; lamina-NAME by default.
        resume: go on with the study in the folder, or help another process that works on it.
        json: print the summary as JSON, and nothing else, on standard output.
        quick: a first look: at most 2 splits, 2 seeds, 3 settings and 4,000 rows.
        racing: stop settings that fall behind in their validation loss early.
        metric: roc_auc, accuracy, balanced_accuracy, macro_auc, log_loss, rmse, mae or r2.
        ignore: columns to leave out, with commas between them.
        task: binary, multiclass or regression; found from the target by default.
        device: auto, cpu, cuda or mps.
        jobs: processes, each with its share of the cores; as many as cores by default.
        memory: what all processes together may take, such as 500MB or 4GB; by default most of what is free.
    """
    began = clock.monotonic()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise LaminaError("torchrun is for lamina fit; lamina compare shares its work between processes by --jobs")
    from lamina.study.compare import compare as run

    end = _deadline(began, time)
    with progress_bar() as progress:
        study = run(
            data,
            target,
            networks=networks,
            rivals=rivals,
            rules=rules,
            params=params,
            splits=splits,
            seeds=seeds,
            settings=settings,
            steps=steps,
            time=None if time is None else max(0.1, COMPARING * (end - clock.monotonic())),
            out=out,
            resume=resume,
            quick=quick,
            racing=racing,
            metric=metric,
            ignore=_names(ignore),
            task=task,
            device=device,
            jobs=jobs,
            memory=memory,
            progress=progress,
        )
        if study.kept() is None:
            study.fit_best(memory, end)
    if json:
        print((study.folder / "summary.json").read_text(encoding="utf-8"))
    else:
        show_study(study)


@app.command
def fit(
    data: str,
    *,
    target: str | None = None,
    network: str,
    out: Path,
    params: int = 20_000,
    seeds: int = 3,
    settings: int = 8,
    racing: bool = True,
    ignore: str = "",
    task: str | None = None,
    device: str = "auto",
    time: str | None = None,
    memory: str | None = None,
) -> None:
    """Train one network on all rows of a table and write a model folder.

    Processes that torchrun starts train the network together, each on a part of every batch.

    Args:
        data: a CSV (gzipped too), Parquet or Arrow file, or the name of a bundled data set.
        target: the column to predict.
        network: its name, see: lamina list.
        out: the model folder to write.
        params: the budget of parameters.
        seeds: members of the model, whose predictions are averaged.
        settings: settings of learning rate, weight decay and dropout to choose from.
        racing: stop settings that fall behind in their validation loss early; --no-racing trains all to the end.
        ignore: columns to leave out, with commas between them.
        task: binary, multiclass or regression; found from the target by default.
        device: auto, cpu, cuda or mps.
        time: to train for at most, such as 90s or 10m; the best weights until then are kept.
        memory: what this process may take, such as 500MB or 4GB; by default most of what is free.
    """
    began = clock.monotonic()
    from lamina.data.task import make_task
    from lamina.model import fit_model, require_place
    from lamina.training import draw_settings
    from lamina.training.distributed import joined

    with joined(device) as ranks:
        require_place(out)
        learnt = make_task(data, target, ignore=_names(ignore), task=task)
        with progress_bar() if ranks.leads else nullcontext() as progress:
            model = fit_model(
                learnt,
                network,
                settings=draw_settings(settings),
                params=params,
                seeds=seeds,
                racing=racing,
                device=device,
                memory=memory,
                deadline=_deadline(began, time),
                progress=progress and (lambda done, planned: progress.share(network, done / planned)),
            )
        if ranks.leads:
            model.save(out)
            print(f"{network} for {learnt.target.name} ({learnt.kind}), {learnt.rows} rows: {out}")


@app.command
def predict(model: Path, data: str, *, out: Path | None = None, device: str = "auto") -> None:
    """Predict new rows with a model folder: one CSV row each, with the class probabilities of a classification.

    Args:
        model: a folder that lamina fit or lamina compare wrote.
        data: a table with the columns that the model was trained on; others are ignored.
        out: the CSV file to write; standard output by default.
        device: auto, cpu, cuda or mps.
    """
    import polars as pl

    from lamina.data.reading import read_table
    from lamina.model import Model

    loaded, table = Model.load(model, device), read_table(data)
    columns: dict[str, Any]
    if not loaded.head.classes:
        columns = {"prediction": loaded.predict(table)}
    else:
        probabilities = loaded.predict_proba(table)
        columns = {"prediction": loaded.target.decode(probabilities.argmax(1))}
        columns |= {f"probability_{c}": probabilities[:, i] for i, c in enumerate(loaded.target.classes)}
    frame = pl.DataFrame(columns)
    if out is None:
        print(frame.write_csv(), end="")
    else:
        frame.write_csv(out)
        print(f"{len(frame)} predictions: {out}")


@app.command(name="list")
def list_(
    pattern: str = "*",
    *,
    kind: str | None = None,
    domain: str | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """List the systems of the catalogue.

    Args:
        pattern: part of a name, or a pattern such as res*.
        kind: layer, network, rule or method.
        domain: tables, images, sequences, ... or any.
        json: print JSON.
    """
    from dataclasses import asdict
    from fnmatch import fnmatch

    if kind is not None and kind not in catalog.KINDS:
        raise LaminaError(f"kind {kind!r} is not known; kinds are: {', '.join(catalog.KINDS)}")
    pattern = pattern if any(c in pattern for c in "*?[") else f"*{pattern}*"
    found = [
        s
        for s in catalog.systems().values()
        if fnmatch(s.name, pattern) and kind in (None, s.kind) and domain in (None, s.domain)
    ]
    if json:
        print_json([asdict(s) for s in found])
    elif not found:
        asked = ", ".join(x for x in (pattern, kind, domain) if x)
        raise LaminaError(f"no system fits {asked}; `lamina list` shows all {len(catalog.systems())}")
    else:
        print_table(("name", "kind", "domain", "what it is"), [(s.name, s.kind, s.domain, s.summary) for s in found])


@app.command
def show(name: str) -> None:
    """Show one system: what it is, its paper, its arguments.

    Args:
        name: as lamina list shows it.
    """
    import inspect

    system = catalog.find(name)
    cls = system.load()
    print(f"{system.name}: {system.summary} ({system.kind}, {system.domain})")
    print(f"{system.module}.{system.qualname}{inspect.signature(cls)}")
    if system.paper:
        print(system.paper)
    print(f"\n{inspect.getdoc(cls)}")


@app.command
def report(*folders: Path, out: Path | None = None) -> None:
    """Write the report of a study again, or one report on several studies with their critical-difference diagram.

    Args:
        folders: folders of studies, or a folder that holds such.
        out: the HTML file; report.html in the folder by default.
    """
    from lamina.study.report import write_report, write_reports
    from lamina.study.study import REPORT, SUMMARY, Study

    if not folders:
        raise LaminaError("name the folder of a study")
    inner = [p.parent for f in folders if not (f / SUMMARY).is_file() for p in sorted(f.glob(f"*/{SUMMARY}"))]
    studies = [Study.open(f) for f in [*(f for f in folders if (f / SUMMARY).is_file() or not inner), *inner]]
    path = out or folders[0] / REPORT
    summaries = [s.summary for s in studies]
    print(write_report(summaries[0], path) if len(studies) == 1 else write_reports(summaries, path))


@app.command
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

    asked = known() if names == "all" else _names(names)
    found: list[Evidence] = []
    errors: dict[str, LaminaError] = {}
    with progress_bar() as bar:
        for name, result in reproduce_all(
            asked, seeds=_seeds(seeds), scale=scale, jobs=jobs, out=out, resume=resume, progress=bar.task_done
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
        print(counted(found))
    if errors:
        raise LaminaError("; ".join(f"{name} could not be measured: {error}" for name, error in errors.items()))


@app.command
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


def _seeds(text: str | None) -> int | range | None:
    """The seeds that a text such as ``10`` or ``10-19`` names."""
    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)) or (dash and int(last) < int(first)):
        raise LaminaError(f"--seeds is {text!r}, it has to be a number such as 5 or a range such as 10-19")
    return range(int(first), int(last) + 1) if dash else int(first)


@app.command
def data() -> None:
    """List the data sets that come along."""
    from lamina.data.bundled import BUNDLED

    rows = [(b.name, str(b.rows), str(b.features), b.task, b.target, b.summary) for b in BUNDLED.values()]
    print_table(("name", "rows", "columns", "task", "target", "what it is"), rows)


if __name__ == "__main__":
    main()
