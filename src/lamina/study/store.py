"""The study on disk: a SQLite file with a row per job and per trial, safe to kill and to share between processes."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from lamina.study.question import Job

BEAT = 2.0  # seconds between two signs of life of a job's owner
PATIENCE = 60.0  # seconds to wait for a lock
STALE = 30.0  # seconds without one after which another process may take the job

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, system TEXT NOT NULL, split INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'running', 'done', 'failed')),
    owner TEXT, beat REAL, outcome TEXT, UNIQUE (system, split));
CREATE TABLE IF NOT EXISTS trials (
    system TEXT NOT NULL, split INTEGER NOT NULL, setting INTEGER NOT NULL, seed INTEGER NOT NULL,
    validation REAL, score REAL, seconds REAL NOT NULL, diverged INTEGER NOT NULL, curve TEXT NOT NULL,
    PRIMARY KEY (system, split, setting, seed));
"""


@dataclass(frozen=True)
class Trial:
    """What was learnt about one setting and seed of a system on a split.

    Attributes:
        validation: validation loss of the weights that were kept; None where the training diverged at once.
        score: on the test part, for the chosen setting only; None for the others, whose test score nobody looks at.
        curve: losses on the training and the validation part over the training.
    """

    setting: int
    seed: int
    validation: float | None
    score: float | None
    seconds: float
    diverged: bool = False
    curve: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a job found.

    Attributes:
        settings: what was tried.
        chosen: the number of the setting that the validation loss chose.
        ensemble: test score of the mean prediction of the chosen setting's seeds.
        params, flops: of one network, forward on one row; None for rivals.
    """

    settings: list[dict]
    chosen: int
    ensemble: float
    trials: list[Trial]
    params: int | None = None
    flops: int | None = None


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to write-ahead logging. The switch does not wait for a lock as other statements do, so it is repeated."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _alive(owner: str) -> bool:
    """Whether a process of this machine may still be running; True for those of other machines."""
    host, pid, *_ = owner.split(":")
    if host != socket.gethostname() or sys.platform == "win32":  # signal 0 is no probe there: its silence will tell
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Store:
    """The jobs and trials of one study.

    Args:
        path: the SQLite file; made if it is not there.
        jobs: all jobs of the study, in the order in which they are taken.
    """

    def __init__(self, path: Path, jobs: Iterable[Job] = ()) -> None:
        self.path = path
        # With a mark of its own: in a container, processes that follow each other may have the same number.
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        with self._transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.executemany(
                "INSERT OR IGNORE INTO jobs (system, split) VALUES (?, ?)",
                [(j.system, j.split) for j in jobs],
            )

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        _use_wal(db)
        db.execute("PRAGMA synchronous=FULL")
        db.row_factory = sqlite3.Row
        return db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, taken at once, so that two processes queue up rather than collide."""
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # on a full disk SQLite has rolled back by itself
                    db.execute("ROLLBACK")
                raise

    def claim(self) -> Job | None:
        """Take the next job that is open, or whose owner is gone; None if there is none to take."""
        with self._transaction() as db:
            for row in db.execute("SELECT * FROM jobs WHERE state IN ('open', 'running') ORDER BY number").fetchall():
                free = row["state"] == "open" or row["beat"] < time.time() - STALE or not _alive(row["owner"])
                if free:
                    db.execute(
                        "UPDATE jobs SET state = 'running', owner = ?, beat = ? WHERE number = ?",
                        (self.owner, time.time(), row["number"]),
                    )
                    return Job(row["system"], row["split"])
        return None

    @contextmanager
    def signs_of_life(self) -> Iterator[None]:
        """Give signs of life for the jobs that are claimed; at the end, hand back those that were broken off."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(BEAT):
                # A sign of life that cannot be written is no reason to stop: what cannot be stored, `finish` says.
                with suppress(sqlite3.OperationalError), self._transaction() as db:
                    db.execute(
                        "UPDATE jobs SET beat = ? WHERE owner = ? AND state = 'running'", (time.time(), self.owner)
                    )

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            with self._transaction() as db:
                db.execute(
                    "UPDATE jobs SET state = 'open', owner = NULL WHERE owner = ? AND state = 'running'", (self.owner,)
                )

    def _mine(self, job: Job) -> tuple[str, int, str]:
        return job.system, job.split, self.owner

    def _end(self, db: sqlite3.Connection, job: Job, state: str, record: dict) -> bool:
        """End a job; False if another process has taken it."""
        ended = db.execute(
            "UPDATE jobs SET state = ?, outcome = ? WHERE system = ? AND split = ? AND owner = ? AND state = 'running'",
            (state, json.dumps(record), *self._mine(job)),
        )
        return ended.rowcount > 0

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Store a job's outcome and trials in one transaction; nothing if another process has taken the job."""
        record = {k: getattr(outcome, k) for k in ("settings", "chosen", "ensemble", "params", "flops")}
        rows = [
            (t.setting, t.seed, t.validation, t.score, t.seconds, t.diverged, json.dumps(t.curve))
            for t in outcome.trials
        ]
        with self._transaction() as db:
            if self._end(db, job, "done", record):
                insert = "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                db.executemany(insert, [(job.system, job.split, *row) for row in rows])

    def fail(self, job: Job, message: str) -> None:
        """Note that a job cannot be done, and why."""
        with self._transaction() as db:
            self._end(db, job, "failed", {"message": message})

    def reopen_failed(self) -> None:
        """Let the jobs that could not be done be tried again."""
        with self._transaction() as db:
            db.execute("UPDATE jobs SET state = 'open', outcome = NULL, owner = NULL WHERE state = 'failed'")

    def states(self) -> dict[Job, str]:
        """The state of every job: open, running, done or failed."""
        with closing(self._connect()) as db:
            rows = db.execute("SELECT system, split, state FROM jobs ORDER BY number").fetchall()
        return {Job(r["system"], r["split"]): r["state"] for r in rows}

    def outcomes(self) -> dict[Job, Outcome]:
        """What the jobs that are done found."""
        with closing(self._connect()) as db:
            trials: dict[Job, list[Trial]] = {}
            for r in db.execute("SELECT * FROM trials ORDER BY system, split, setting, seed"):
                trials.setdefault(Job(r["system"], r["split"]), []).append(
                    Trial(
                        r["setting"],
                        r["seed"],
                        r["validation"],
                        r["score"],
                        r["seconds"],
                        bool(r["diverged"]),
                        json.loads(r["curve"]),
                    )
                )
            rows = db.execute("SELECT system, split, outcome FROM jobs WHERE state = 'done' ORDER BY number").fetchall()
        jobs = {Job(r["system"], r["split"]): json.loads(r["outcome"]) for r in rows}
        return {job: Outcome(trials=trials[job], **record) for job, record in jobs.items()}

    def failures(self) -> dict[Job, str]:
        """The jobs that could not be done, and why."""
        with closing(self._connect()) as db:
            rows = db.execute(
                "SELECT system, split, outcome FROM jobs WHERE state = 'failed' ORDER BY number"
            ).fetchall()
        return {Job(r["system"], r["split"]): json.loads(r["outcome"])["message"] for r in rows}
