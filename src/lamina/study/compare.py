"""`lamina.compare`: from a table to a verdict."""

from __future__ import annotations

import math
import re
import time as clock
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lamina.catalog import STANDARD, find, table_networks
from lamina.data.encoder import Encoder, ramps_for
from lamina.data.splits import FOLDS
from lamina.data.task import Task, make_task
from lamina.errors import LaminaError, unknown
from lamina.model import Blueprint
from lamina.study import rivals as rival_catalogue
from lamina.study.question import COMPILE, FILE, Question
from lamina.study.store import Store
from lamina.study.study import Study
from lamina.study.summary import summarise
from lamina.study.work import Progress, work
from lamina.study.workers import hire
from lamina.training import Head, choose_device
from lamina.training.memory import to_bytes

RULES = ("backprop",)
QUICK = {"splits": 2, "seeds": 2, "settings": 3, "rows": 4000}


def compare(
    data: Any,
    target: str | None = None,
    *,
    networks: Sequence[str] | str = "standard",
    rivals: Sequence[str] | str = "all",
    rules: Sequence[str] | str = "backprop",
    params: int = 20_000,
    splits: int = 5,
    seeds: int = 3,
    settings: int = 8,
    steps: int | None = None,
    time: float | str | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    quick: bool = False,
    racing: bool = False,
    compile: bool | None = None,
    metric: str | None = None,
    ignore: Sequence[str] = (),
    task: str | None = None,
    device: str = "auto",
    jobs: int | None = None,
    memory: float | str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Train networks and rivals on a table under one protocol and say which to use.

    Every network has the same data, splits, budget of parameters and number of settings. An inner validation part
    chooses the setting and the stopping point; the test part is scored once.

    Args:
        data: a CSV, Parquet or Arrow file, the name of a bundled data set (``lamina data``), or a frame.
        target: the column to predict; bundled data sets know theirs.
        networks: names, a text with commas, ``standard`` (`lamina.catalog.STANDARD`) or ``all`` (dozens).
        rivals: likewise; all are the built-in ones and those whose packages are installed.
        rules: learning rules; so far backpropagation.
        params: the budget of parameters of every network. 20,000 train in seconds and are plenty for most tables
            of some thousand rows.
        splits: folds of a repeated 5-fold cross-validation; the unit of the statistics. Five test every row once.
        seeds: initialisations (and inner validation parts) per split.
        settings: settings of learning rate, weight decay and dropout, of which each network may choose one.
        steps: updates of a training at most; by default the number of rows decides, see `lamina.training.Recipe`.
        time: no new job starts after so many seconds (or ``"10m"``, ``"2h"``); the verdict is on the splits that
            every system has finished.
        out: the folder of the study; ``lamina-NAME`` by default, with a number behind it if that is taken.
        resume: go on with the study in `out`, or help another process that works on it.
        quick: at most 2 splits, 2 seeds, 3 settings and 4,000 rows, drawn at random: a first look.
        compile: run training steps through `torch.compile`. By default where that is expected to save more seconds
            than it costs (`lamina.training.compiling`).
        racing: stop settings of networks that fall behind in their validation loss early (`lamina.training.racing`).
            The chosen setting is always trained to the end, but now and then it is another one than without.
        metric: see `lamina.metrics`; ROC AUC, accuracy or RMSE by default.
        ignore: columns to leave out.
        task: ``binary``, ``multiclass`` or ``regression``; found from the target by default.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        jobs: processes that share the work, each with its share of the cores; by default as many as PyTorch has
            threads, which are the cores unless ``OMP_NUM_THREADS`` says less. Within
            ``joblib.parallel_config(backend="ray")`` or ``"dask"``, the workers of the cluster.
        memory: bytes (or a text such as ``4GB``) that all processes together may take; members of a fleet that do not
            fit are trained afterwards, with the same result. By default each takes up to 0.7 of what is free.
        progress: called often.

    Raises:
        LaminaError: an input cannot be used (it says which and what to do), or the time was too short.
    """
    choose_device(device)
    whole_task = make_task(data, target, ignore=ignore, metric=metric, task=task)
    asked = {"splits": splits, "seeds": seeds, "settings": settings}
    for name, value in (*asked.items(), ("params", params), ("steps", steps), ("jobs", jobs)):
        if value is not None and value < 1:
            raise LaminaError(f"{name} is {value}, it has to be at least 1")
    if quick:
        whole_task = sample(whole_task, QUICK["rows"])
        asked = {name: min(value, QUICK[name]) for name, value in asked.items()}
    deadline = math.inf if time is None else clock.monotonic() + seconds(time)
    names, refused = buildable(whole_task, chosen("network", networks, table_networks()), params)
    question = Question(
        data=whole_task.name,
        source=str(data) if isinstance(data, str | Path) else "",
        ignore=tuple(ignore),
        quick=quick,
        racing=racing,
        compile=next(name for name, value in COMPILE.items() if value is compile),
        target=whole_task.target.name,
        task=whole_task.kind,
        metric=whole_task.metric.name,
        rows=whole_task.rows,
        fingerprint=whole_task.fingerprint,
        networks=tuple(names),
        rivals=tuple(chosen("rival", rivals, rival_catalogue.names())),
        rules=tuple(chosen("rule", rules, RULES)),
        params=params,
        steps=steps or 0,
        **asked,
    )
    folder = study_folder(question, out, resume)
    store = Store(folder / "study.sqlite", question.jobs())
    if resume:
        store.reopen_failed()
    workers = hire(jobs, left=sum(state in ("open", "running") for state in store.states().values()))
    work(
        whole_task,
        question,
        store,
        workers,
        device=device,
        memory=None if memory is None else to_bytes(memory),
        deadline=deadline,
        progress=progress,
    )
    summary = summarise(whole_task, question, store, refused=refused, device=device, workers=workers)
    if not summary["splits"] or not summary["networks"]:
        raise LaminaError(nothing_finished(summary, folder, time))
    study = Study(folder, summary, whole_task, device)
    study.write_summary()
    study.report()
    return study


def chosen(what: str, asked: Sequence[str] | str, known: Sequence[str]) -> list[str]:
    """The names asked for, each known, each once.

    ``all`` are all that are known, ``standard`` the usual networks, ``none`` or nothing are no rivals.
    """
    parts = asked.split(",") if isinstance(asked, str) else asked
    names = list(dict.fromkeys(name.strip() for name in parts if name.strip()))
    if names == ["all"]:
        return list(known)
    if names == ["standard"] and what == "network":
        return list(STANDARD)
    if names == ["none"] and what == "rival":
        return []
    for name in names:
        if name not in known:
            if what == "network":
                find(name)
            raise unknown(what, name, known)
    if not names and what != "rival":
        raise LaminaError(f"no {what} is named; known are: {', '.join(known)}")
    return names


def buildable(task: Task, names: Sequence[str], params: int) -> tuple[list[str], dict[str, str]]:
    """Which networks can be built for the task within the budget, and why the others cannot.

    Raises:
        LaminaError: none of them can.
    """
    encoder = Encoder.fit(task.features, task.schema, ramps=ramps_for(params))
    head = Head.fit(task.y, len(task.target.classes))
    built, refused = [], {}
    for name in names:
        try:
            Blueprint.sized(name, encoder, head, params)
            built.append(name)
        except LaminaError as error:
            refused[name] = str(error)
    if not built:
        raise LaminaError(f"no network can be built: {'; '.join(refused.values())}")
    return built, refused


def sample(task: Task, rows: int) -> Task:
    """The task with at most so many rows, drawn at random but always the same, with the first few of
    every class."""
    if task.rows <= rows:
        return task
    order = np.random.default_rng(0).permutation(task.rows)
    if task.target.classes:
        # The first few rows of each class come first, so that every test part has one of each.
        nth = np.empty(task.rows, dtype=int)
        for k in range(len(task.target.classes)):
            mine = order[task.y[order] == k]
            nth[mine] = np.arange(len(mine))
        order = order[np.argsort(nth[order] >= FOLDS, kind="stable")]
    kept = np.sort(order[:rows])
    return replace(task, features=task.features[kept], y=task.y[kept], fingerprint=f"{task.fingerprint}-{rows}")


def study_folder(question: Question, out: str | Path | None, resume: bool) -> Path:
    """The folder of the study, made and with its question in it.

    Raises:
        LaminaError: there is a study already and it is not to be resumed, or it was asked something else.
    """
    if out is None:
        out, number = Path(f"lamina-{question.data}"), 1
        while not resume and out.exists():
            number += 1
            out = Path(f"lamina-{question.data}-{number}")
    folder = Path(out)
    if (folder / FILE).is_file():
        if not resume:
            raise LaminaError(f"{str(folder)!r} holds a study; go on with it by --resume, or choose another --out")
        question.require_same(Question.read(folder), folder)
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        question.write(folder)
    except OSError as error:
        raise LaminaError(f"the study cannot be written to {str(folder)!r}: {error.strerror}") from error
    return folder


def seconds(time: float | str) -> float:
    """A time in seconds from a number or a text such as ``90``, ``90s``, ``10m``, ``1.5h``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(time))
    value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not value > 0:
        raise LaminaError(f"time is {time!r}, it has to be seconds, or a text such as 90s, 10m or 2h")
    return value


def nothing_finished(summary: dict[str, Any], folder: Path, time: float | str | None) -> str:
    """Why there is no verdict, in one line."""
    if time is not None and summary["undone"]:
        given = time if isinstance(time, str) else f"{time:.3g} s"
        return (
            f"no split was finished within {given}; give more time or fewer networks, or go on by --resume: "
            f"what is done stays in {str(folder)!r}"
        )
    errors = "; ".join(f"{e['network']}: {e['message']}" for e in summary["errors"])
    return f"no network finished: {errors or 'no job is left'}"
