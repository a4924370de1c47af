import math
import time

import pytest
import torch
from conftest import small

from lamina.data.task import make_task
from lamina.study.question import Question
from lamina.study.store import Store
from lamina.study.work import work, work_in_processes

TASK = make_task("iris")
QUESTION = Question(
    "iris", "species", "multiclass", "accuracy", 150, TASK.fingerprint, (), ("constant", "linear"), ("backprop",),
    1000, 3, 1, 2,
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "s.sqlite", QUESTION.jobs())


def test_all_jobs_are_done_and_the_progress_rises_to_one(store):
    seen = []
    work(TASK, QUESTION, store, progress=lambda p: seen.append(p.done))
    assert set(store.states().values()) == {"done"}
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_nothing_is_begun_after_the_deadline_or_a_stop(store):
    work(TASK, QUESTION, store, deadline=time.monotonic() - 1)
    work(TASK, QUESTION, store, stop=lambda: True)
    assert set(store.states().values()) == {"open"}


def test_a_job_that_runs_out_of_time_is_open_again(store, monkeypatch):
    from lamina.study.rivals import _protocol

    monkeypatch.setattr(_protocol.time, "monotonic", lambda: math.inf)
    work(TASK, QUESTION, store, deadline=1e300)
    assert set(store.states().values()) == {"open"}


def test_one_process_keeps_to_the_threads_it_is_given(store):
    before = torch.get_num_threads()
    work_in_processes(TASK, QUESTION, store, jobs=1, device="cpu", deadline=math.inf, progress=None)
    assert torch.get_num_threads() == before
    assert set(store.states().values()) == {"done"}


def test_processes_report_their_progress(tmp_path):
    seen = []
    small(tmp_path / "s", jobs=2, progress=lambda p: seen.append(p.done))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
