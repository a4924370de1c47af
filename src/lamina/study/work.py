"""The work of a study: its jobs, taken one after another by one process or several."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import threadpool_limits

from lamina.data.splits import outer_splits
from lamina.data.task import Task
from lamina.errors import LaminaError
from lamina.fold import Fold
from lamina.study import rivals
from lamina.study.contender import Contender, NetworkContender, judge_attempt
from lamina.study.question import Job, Question
from lamina.study.rivals._protocol import RivalContender
from lamina.study.store import Store
from lamina.training import OutOfTime

WAIT = 0.2  # seconds between two looks at a job that another process works on


@dataclass(frozen=True)
class Progress:
    """Where a comparison stands, for a progress bar.

    Attributes:
        job: what is computed at the moment; None while other processes finish theirs.
        done: the share of all jobs that is done, 0 to 1.
    """

    job: Job | None
    done: float


def work_in_processes(
    task: Task,
    question: Question,
    store: Store,
    *,
    jobs: int,
    device: str,
    deadline: float,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Share the jobs of a study between so many processes, each with its share of the cores.

    Processes times threads stay within the cores: PyTorch's threads wait by spinning, so that more of them than cores
    slow each other down by far more than they bring.
    """
    if not {"open", "running"} & set(store.states().values()):
        return
    threads = max(1, torch.get_num_threads() // jobs)
    if jobs == 1:
        with threadpool_limits(threads):
            torch.set_num_threads(threads)
            work(task, question, store, device=device, deadline=deadline, progress=progress)
        return
    with parallel_config("loky", inner_max_num_threads=threads):
        pool = Parallel(n_jobs=jobs, return_as="generator_unordered")
        ends = pool(delayed(_worker)(task, question, store.path, device, deadline, os.getpid()) for _ in range(jobs))
    failures: list[BaseException] = []
    watcher = threading.Thread(target=_await, args=(ends, failures), daemon=True)
    watcher.start()
    try:
        while watcher.is_alive():
            watcher.join(WAIT)
            states = store.states()
            running = [job for job, state in states.items() if state == "running"]
            finished = sum(state in ("done", "failed") for state in states.values())
            if progress is not None:
                progress(Progress(running[0] if running else None, finished / len(states)))
    except BaseException:
        executor = get_reusable_executor(reuse=True)  # pyright: ignore[reportArgumentType]  True, False or "auto"
        executor.shutdown(wait=False, kill_workers=True)
        raise
    if failures and isinstance(failures[0], BrokenProcessPool):
        raise LaminaError(
            "a worker process was killed, perhaps because the memory ran out; what is finished is kept: "
            "go on by --resume, with fewer --jobs"
        ) from failures[0]
    if failures:
        raise failures[0]


def _await(ends: Iterable[None], failures: list[BaseException]) -> None:
    try:
        for _ in ends:
            pass
    except BaseException as error:  # whatever ended a worker ends the comparison
        failures.append(error)


def _worker(task: Task, question: Question, path: Path, device: str, deadline: float, parent: int) -> None:
    def orphaned() -> bool:
        return os.getppid() != parent

    work(task, question, Store(path), device=device, deadline=deadline, stop=orphaned)


def work(
    task: Task,
    question: Question,
    store: Store,
    *,
    device: str = "auto",
    deadline: float = math.inf,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Take jobs and do them until none is left, other processes' jobs included, or the deadline or `stop` comes."""
    splits = outer_splits(task, question.splits)
    fold = Fold(task, splits[0], question.seeds, question.params)
    report = progress or (lambda _: None)
    while time.monotonic() < deadline and not stop():
        states = list(store.states().values())
        done = sum(state in ("done", "failed") for state in states) / len(states)
        job = store.claim()
        report(Progress(job, done))
        if job is None and done == 1.0:
            return
        if job is None:
            time.sleep(WAIT)
            continue
        if job.split != fold.split.index:
            fold = Fold(task, splits[job.split], question.seeds, question.params)
        moved = partial(_moved, report, job, done, 1 / len(states))
        with store.working_on(job):
            try:
                attempt = contender(job.system, device).attempt(fold, question, deadline, moved)
                outcome = judge_attempt(fold, attempt)
            except OutOfTime:
                return
            except Exception as error:  # a system of somebody else's may fail in any way; the others go on
                store.fail(job, f"{type(error).__name__}: {error}".splitlines()[0])
            else:
                store.finish(job, outcome)


def _moved(report: Callable[[Progress], None], job: Job, done: float, share: float, part: float) -> None:
    report(Progress(job, done + share * part))


def contender(system: str, device: str) -> Contender:
    """The network or rival called `system` as something that can be compared."""
    if system in rivals.names():
        return RivalContender(rivals.rival(system))
    return NetworkContender(system, device)
