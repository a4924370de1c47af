import multiprocessing
import os
import time

import pytest

from lamina.study import store as module
from lamina.study.question import Job
from lamina.study.store import Outcome, Store, Trial

JOBS = [Job(system, split) for split in range(10) for system in ("a", "b", "c")]


def outcome(value=0.5):
    trials = [Trial(0, seed, 0.25, value, 1.0, curve={"train": [1.0], "validation": [2.0]}) for seed in range(2)]
    return Outcome([{"learning_rate": 0.1}], 0, value, trials, params=7, flops=14)


def test_jobs_are_taken_in_order_and_come_back_as_they_were_stored(tmp_path):
    store = Store(tmp_path / "s.sqlite", JOBS)
    job = store.claim()
    assert job == JOBS[0]
    with store.signs_of_life():
        store.finish(job, outcome())
    assert store.outcomes() == {job: outcome()}
    assert store.states()[job] == "done"
    assert store.claim() == JOBS[1]


def test_a_job_that_is_broken_off_is_open_again(tmp_path):
    store = Store(tmp_path / "s.sqlite", JOBS[:1])
    job = store.claim()
    with pytest.raises(KeyboardInterrupt), store.signs_of_life():
        raise KeyboardInterrupt
    assert store.states()[job] == "open"
    assert store.claim() == job


def test_the_job_of_a_dead_process_is_taken_over(tmp_path):
    store = Store(tmp_path / "s.sqlite", JOBS[:1])
    process = multiprocessing.get_context("spawn").Process(target=_claim_and_die, args=(store.path,))
    process.start()
    process.join()
    assert store.states()[JOBS[0]] == "running"
    assert store.claim() == JOBS[0]


def test_the_job_of_a_living_process_is_left_alone_until_it_is_silent(tmp_path, monkeypatch):
    first, second = (Store(tmp_path / "s.sqlite", JOBS[:1]) for _ in range(2))
    second.owner = f"{first.owner.partition(':')[0]}:{os.getppid()}"
    job = first.claim()
    assert second.claim() is None
    monkeypatch.setattr(module, "STALE", 0.05)
    time.sleep(0.1)
    assert second.claim() == job


def test_the_outcome_of_a_job_that_another_has_taken_is_dropped(tmp_path, monkeypatch):
    first, second = (Store(tmp_path / "s.sqlite", JOBS[:1]) for _ in range(2))
    second.owner = f"{first.owner.partition(':')[0]}:{os.getppid()}"
    job = first.claim()
    monkeypatch.setattr(module, "STALE", -1.0)
    assert second.claim() == job
    first.finish(job, outcome(0.1))
    assert store_is_empty(first)
    second.finish(job, outcome(0.2))
    first.finish(job, outcome(0.1))
    assert second.outcomes()[job].ensemble == 0.2


def store_is_empty(store):
    return store.outcomes() == {}


def test_a_failure_keeps_its_message(tmp_path):
    store = Store(tmp_path / "s.sqlite", JOBS[:2])
    job = store.claim()
    with store.signs_of_life():
        store.fail(job, "ValueError: no")
    assert store.failures() == {job: "ValueError: no"}
    assert store.claim() == JOBS[1]


def test_failed_jobs_may_be_tried_again(tmp_path):
    store = Store(tmp_path / "s.sqlite", JOBS[:2])
    for end in (lambda job: store.fail(job, "no"), lambda job: store.finish(job, outcome())):
        job = store.claim()
        with store.signs_of_life():
            end(job)
    store.reopen_failed()
    assert list(store.states().values()) == ["open", "done"]


def test_processes_that_open_a_new_store_together_do_not_lock_each_other_out(tmp_path):
    context = multiprocessing.get_context("spawn")
    for turn in range(3):
        start = context.Barrier(4)
        path = tmp_path / f"{turn}.sqlite"
        processes = [context.Process(target=_open_together, args=(path, start)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 4


def _open_together(path, start):
    start.wait()
    Store(path, JOBS)


def test_many_processes_do_every_job_once(tmp_path):
    path = tmp_path / "s.sqlite"
    Store(path, JOBS)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, args=(path, tmp_path / f"{i}.txt")) for i in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    done = [line for i in range(4) for line in (tmp_path / f"{i}.txt").read_text().splitlines()]
    assert sorted(done) == sorted(f"{j.system} {j.split}" for j in JOBS)
    assert set(Store(path).states().values()) == {"done"}


def _claim_and_die(path):
    Store(path).claim()
    os._exit(9)


def _work(path, log):
    store = Store(path)
    with log.open("w") as file, store.signs_of_life():
        while (job := store.claim()) is not None:
            time.sleep(0.002)
            store.finish(job, outcome())
            file.write(f"{job.system} {job.split}\n")
