"""Who computes the jobs of a study: how many processes, with how many threads each, by which of joblib's backends."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import joblib
import torch
from joblib import Parallel, parallel_config
from joblib.parallel import BACKENDS, get_active_backend
from threadpoolctl import threadpool_limits

from lamina.errors import LaminaError

WAIT = 0.2  # seconds between two looks at whether the parent is there
HERE, LOKY, CLUSTERS = "this process", "loky", ("ray", "dask")

# Loky replaces a worker whose memory has grown, and PyTorch's memory grows; no task is lost.
warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)


@dataclass(frozen=True)
class Workers:
    """The processes of a comparison and their threads.

    Attributes:
        backend: ``this process``, ``loky`` (processes of this machine), or the joblib backend that the caller has
            activated: ``ray``, ``dask``.
        processes: how many jobs are computed at a time.
        threads: of each.
        cores: of this machine, or of the cluster.
    """

    backend: str
    processes: int
    threads: int
    cores: int

    def __str__(self) -> str:
        """In words: ``2 processes with 1 thread each on 2 cores``."""
        processes, threads, cores = (
            f"{n} {name}{'es' if name == 'process' else 's'}" if n != 1 else f"1 {name}"
            for n, name in ((self.processes, "process"), (self.threads, "thread"), (self.cores, "core"))
        )
        each = " each" if self.processes > 1 else ""
        by = "" if self.backend in (HERE, LOKY) else f" by {self.backend}"
        note = ", more than there are cores: fewer would be faster" if self.processes > self.cores else ""
        return f"{processes} with {threads}{each} on {cores}{by}{note}"

    def results(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """What delayed calls (`joblib.delayed`) return, in the order in which they are ready.

        Raises:
            LaminaError: a process was killed.
        """
        n = self.processes
        configured = parallel_config(LOKY, inner_max_num_threads=self.threads) if self.backend == LOKY else streaming()
        with configured:
            pool = Parallel(n, return_as="generator_unordered", pre_dispatch=str(n), batch_size=1)  # pyright: ignore[reportArgumentType]
            found: Any = pool(tasks)
            try:
                yield from found
            except Exception as error:
                if not _lost_a_worker(error):
                    raise
                raise LaminaError(
                    "a worker process was killed, perhaps because the memory ran out; what is finished is kept: "
                    "go on by --resume, with fewer --jobs"
                ) from error
            finally:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that tasks are broken off is no news
                    found.close()


def _lost_a_worker(error: Exception) -> bool:
    """Whether it is the backend that failed: a job's own failures come back as results."""
    return isinstance(error, BrokenProcessPool) or type(error).__module__.partition(".")[0] in ("ray", "distributed")


@lru_cache
def end_with(parent: int) -> None:
    """End this process, idle or not, when the one that has started it is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WAIT)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def hire(jobs: int | None, left: int) -> Workers:
    """Choose processes and threads, so that their product stays within the cores.

    PyTorch's threads wait by spinning: more of them than cores slow each other down by far more than they bring.

    Args:
        jobs: processes; by default the ``n_jobs`` of `joblib.parallel_config`, else as many as PyTorch has threads
            (the cores, unless ``OMP_NUM_THREADS`` says less), or as the cluster has cores. A cluster gives no
            more than it has.
        left: jobs of the study that are still to be done; more processes would have nothing to do.

    Returns:
        On this machine each process has its share of the cores; on a cluster one thread, because a task of Ray or Dask
        counts as one core. One process is always this one.

    Raises:
        LaminaError: the active backend cannot be used, or its cluster has not been started.
    """
    backend, n_jobs = get_active_backend()
    name = next((name for name, kind in BACKENDS.items() if type(backend) is kind), type(backend).__name__)
    asked = jobs or (joblib.effective_n_jobs(n_jobs) if isinstance(n_jobs, int) else None)
    if name not in (LOKY, "sequential", *CLUSTERS):
        raise LaminaError(f"the joblib backend is {name!r}, it has to be {LOKY}, {' or '.join(CLUSTERS)}")
    if name in CLUSTERS:
        try:
            most = joblib.effective_n_jobs(-1)
        except Exception as error:  # each cluster has its own
            raise LaminaError(f"the {name} cluster does not say how many cores it has: {error}") from error
        processes = min(asked or most, most, left)
        if processes > 1:
            return Workers(name, processes, 1, most)
    cores = joblib.cpu_count()
    usable = min(cores, torch.get_num_threads())
    processes = 1 if name in CLUSTERS else max(1, min(joblib.effective_n_jobs(asked or usable), left))
    return Workers(LOKY if processes > 1 else HERE, processes, max(1, usable // processes), cores)


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let PyTorch and the libraries of linear algebra use so many threads in this block."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def streaming() -> Iterator[None]:
    """Let the active Ray or Dask backend give results as they come, and say it when a worker is lost.

    Ray's inherits "no generators" from the backend of `multiprocessing`, whose pool may hang when it is broken off;
    Ray's own pool ends its actors. Dask's calls back after a success alone, so that `joblib.Parallel` would wait for
    ever for a task whose worker was killed.
    """
    backend: Any = get_active_backend()[0]
    submit = backend.submit

    def submit_and_tell(task: Any, callback: Callable[[Any], None]) -> Any:
        def tell(future: Any) -> None:
            if future.exception() is not None:
                callback(future.exception())

        future = submit(task, callback)
        future.add_done_callback(tell)
        return future

    if not backend.supports_return_generator:
        backend.supports_return_generator = True
        yield
        return
    backend.submit = submit_and_tell
    try:
        yield
    finally:
        del backend.submit
