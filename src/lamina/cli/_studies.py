"""`lamina compare` and `lamina report`."""

from __future__ import annotations

import os
import time as clock
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lamina.cli._arguments import deadline, names
from lamina.errors import LaminaError
from lamina.terminal import progress_bar, show_study

COMPARING = 0.9  # of the time of a comparison; the rest is for the report and the best model


def compare(
    data: str,
    *,
    target: str | None = None,
    networks: str = "standard",
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
    compile: bool | None = None,
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
        networks: names with commas between them, standard (eight that are measured on 35 tables), or all.
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
        compile: run training steps through torch.compile; by default where that saves more seconds than it costs.
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

    end = deadline(began, time)
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
            compile=compile,
            metric=metric,
            ignore=names(ignore),
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
