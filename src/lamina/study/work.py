"""The work of a study: its jobs, claimed by this process and computed here or by the workers of a joblib backend."""

from __future__ import annotations

import math
import os
import pickle
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain

import numpy as np
import psutil
from joblib import delayed

from lamina.data.splits import outer_splits
from lamina.data.task import Task
from lamina.fold import Fold
from lamina.metrics import metric_for
from lamina.study import rivals
from lamina.study.contender import Contender, NetworkContender, judge_attempt
from lamina.study.question import Job, Question
from lamina.study.rivals._protocol import RivalContender
from lamina.study.store import Outcome, Store
from lamina.study.workers import LOKY, Workers, end_with, limited
from lamina.training import OutOfTime

WAIT = 0.2  # seconds between two looks at a job that another process works on


@dataclass(frozen=True)
class Progress:
    """Where a comparison stands, for a progress bar.

    Attributes:
        job: what is computed at the moment; None while other processes finish theirs.
        done: the share of all jobs that is done, 0 to 1.
        workers: who computes, in words.
    """

    job: Job | None
    done: float
    workers: str = ""


@dataclass(frozen=True)
class Failure:
    """Why a job could not be done."""

    message: str


Result = Outcome | Failure | None
"""What became of a job; None where the time ran out."""

Results = Generator[tuple[Job, Result], None, None]


@dataclass(frozen=True)
class Deadline:
    """A moment of `time.monotonic`. Another machine has another clock: it gets the seconds that are left.

    They are counted when a task leaves for its worker, not when it was claimed.
    """

    at: float
    same_machine: bool = True

    def __reduce__(self) -> tuple[Callable[[float], Deadline], tuple[float]]:
        """Travel as the moment itself, or as the seconds left."""
        return (Deadline, (self.at,)) if self.same_machine else (_seconds_from_now, (self.at - time.monotonic(),))


def _seconds_from_now(left: float) -> Deadline:
    return Deadline(time.monotonic() + left)


def work(
    task: Task,
    question: Question,
    store: Store,
    workers: Workers,
    *,
    device: str = "auto",
    memory: int | None = None,
    deadline: float = math.inf,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Do jobs until none is left, other processes' jobs included, or the deadline has come.

    This process claims the jobs, gives signs of life for them and stores what comes back; so workers need neither the
    study's folder nor anything but the task.

    Raises:
        LaminaError: a worker was killed; what is finished is kept.
    """
    means = Means(device, None if memory is None else share_of(memory, workers))
    assignment = Assignment(task, question, means, deadline)
    done, states = 0.0, store.states()

    def moved(job: Job | None, part: float = 0.0) -> None:
        if progress is not None:
            progress(Progress(job, done + part / len(states), str(workers)))

    with store.signs_of_life():
        while time.monotonic() < deadline:
            states = store.states()
            done = _finished(states)
            job = None if done == 1.0 else store.claim()
            moved(job)
            if done == 1.0:
                return
            if job is None:
                time.sleep(WAIT)
                continue
            jobs = chain([job], _claims(store, deadline))
            here = workers.processes == 1
            results = assignment.do_here(jobs, workers, moved) if here else assignment.hand_out(jobs, workers)
            with closing(results):
                for job, result in results:
                    _record(store, job, result)
                    states = store.states()
                    done = _finished(states)
                    moved(next((j for j, state in states.items() if state == "running"), job))


def _finished(states: dict[Job, str]) -> float:
    return sum(state in ("done", "failed") for state in states.values()) / len(states)


def _claims(store: Store, deadline: float) -> Iterator[Job]:
    while time.monotonic() < deadline and (job := store.claim()) is not None:
        yield job


def _record(store: Store, job: Job, result: Result) -> None:
    if isinstance(result, Failure):
        store.fail(job, result.message)
    elif result is not None:
        store.finish(job, result)


@dataclass(frozen=True)
class Means:
    """What a job may use.

    Attributes:
        device: the name of the device that networks are trained on.
        memory: bytes that its process may take in all; None for 0.7 of what is free beside what it has.
    """

    device: str
    memory: int | None


def share_of(memory: int, workers: Workers) -> int:
    """Of the memory of a comparison, the part of each process that computes, beside what this one has taken."""
    if workers.processes == 1:
        return memory
    return max(0, memory - psutil.Process().memory_info().rss) // workers.processes


@dataclass(frozen=True)
class Assignment:
    """What is to be done with each job, whoever does it."""

    task: Task
    question: Question
    means: Means
    deadline: float

    def do_here(self, jobs: Iterator[Job], workers: Workers, moved: Callable[[Job, float], None]) -> Results:
        """Compute the jobs in this process; `moved` is told the share of each that is done."""
        fold = folds(self.task, self.question)
        with limited(workers.threads):
            for job in jobs:
                moved(job, 0.0)
                yield job, attempt(job, fold, self.question, self.means, self.deadline, partial(moved, job))

    def hand_out(self, jobs: Iterator[Job], workers: Workers) -> Results:
        """Let joblib's workers compute the jobs; results come in the order in which they are ready."""
        # All backends share a large array between tasks: loky by a memory map, Dask and Ray by their object stores.
        content = pack(self.task, self.question)
        key, local = uuid.uuid4().hex, workers.backend == LOKY
        deadline, parent = Deadline(self.deadline, same_machine=local), os.getpid() if local else None
        give = partial(delayed(_task), content, key)
        tasks = (give(job, self.means, deadline, workers.threads, parent) for job in jobs)
        yield from workers.results(tasks)


# What a worker has unpacked, and the split that it has encoded last: they serve its next tasks too. PyTorch's random
# numbers and threads belong to the process, so a process with several Dask threads does one job at a time.
_unpacked: dict[str, tuple[Question, Callable[[int], Fold]]] = {}
_one_at_a_time = threading.Lock()


def _task(
    content: np.ndarray, key: str, job: Job, means: Means, deadline: Deadline, threads: int, parent: int | None
) -> tuple[Job, Result]:
    if parent is not None:
        end_with(parent)
    with _one_at_a_time, limited(threads):
        if key not in _unpacked:
            task, question = unpack(content)
            _unpacked.clear()
            _unpacked[key] = question, folds(task, question)
        question, fold = _unpacked[key]
        return job, attempt(job, fold, question, means, deadline.at, lambda _: None)


def pack(task: Task, question: Question) -> np.ndarray:
    """Task and question as an array of bytes; the metric, which holds functions, by its name."""
    facts = {**vars(task), "metric": task.metric.name}
    return np.frombuffer(pickle.dumps((facts, question), protocol=5), dtype=np.uint8)


def unpack(content: np.ndarray) -> tuple[Task, Question]:
    """What `pack` has packed."""
    facts, question = pickle.loads(content.data)
    return Task(**{**facts, "metric": metric_for(question.task, facts["metric"])}), question


def folds(task: Task, question: Question) -> Callable[[int], Fold]:
    """A function from the number of a split to its fold; the last one is kept, with what was encoded for it."""
    splits = outer_splits(task, question.splits)
    return lru_cache(maxsize=1)(lambda split: Fold(task, splits[split], question.seeds, question.params))


def attempt(
    job: Job,
    fold: Callable[[int], Fold],
    question: Question,
    means: Means,
    deadline: float,
    progress: Callable[[float], None],
) -> Result:
    """Compute one job: train all settings and seeds of its system on its split, and judge them."""
    if time.monotonic() >= deadline:  # a worker may have taken long to start
        return None
    try:
        mine = fold(job.split)
        return judge_attempt(mine, contender(job.system, means).attempt(mine, question, deadline, progress))
    except OutOfTime:
        return None
    except Exception as error:  # a system of somebody else's may fail in any way; the others go on
        return Failure(f"{type(error).__name__}: {error}".splitlines()[0])


def contender(system: str, means: Means) -> Contender:
    """The network or rival called `system` as something that can be compared."""
    if system in rivals.names():
        return RivalContender(rivals.rival(system))
    return NetworkContender(system, means.device, means.memory)
