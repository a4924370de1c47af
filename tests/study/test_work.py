import json
import math
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import joblib
import psutil
import pytest
import torch
from conftest import small

import lamina
from lamina.data.task import make_task
from lamina.errors import LaminaError
from lamina.study import work as module
from lamina.study.question import Question
from lamina.study.store import Store
from lamina.study.work import Deadline, folds, work
from lamina.study.workers import Workers
from lamina.training import OutOfTime

TASK = make_task("iris")
QUESTION = Question(
    "iris", "species", "multiclass", "accuracy", 150, TASK.fingerprint, (), ("constant", "linear"), ("backprop",),
    1000, 3, 1, 2,
)  # fmt: skip
WAKE = 6  # seconds for workers to import what they need and begin
ONE, TWO = Workers("this process", 1, 1, 2), Workers("loky", 2, 1, 2)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "s.sqlite", QUESTION.jobs())


def scores(store):
    return {job: [t.score for t in outcome.trials] for job, outcome in store.outcomes().items()}


@pytest.mark.parametrize("workers", [ONE, TWO], ids=["one", "two"])
def test_all_jobs_are_done_and_the_progress_rises_to_one(store, workers):
    seen = []
    work(TASK, QUESTION, store, workers, progress=seen.append)
    assert set(store.states().values()) == {"done"}
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0.0, 1.0)
    # other processes are asked now and then, and may have done several jobs meanwhile
    assert len({p.job for p in seen}) > (2 if workers is ONE else 1)
    assert seen[0].workers == str(workers)


def test_nothing_is_begun_after_the_deadline(store):
    work(TASK, QUESTION, store, ONE, deadline=time.monotonic() - 1)
    assert set(store.states().values()) == {"open"}


@pytest.mark.parametrize("workers", [ONE, TWO], ids=["one", "two"])
def test_a_job_that_runs_out_of_time_is_open_again(tmp_path, workers):
    question = Question(**{**vars(QUESTION), "networks": ("mlp",), "rivals": ("constant",), "steps": 1_000_000})
    store = Store(tmp_path / "s.sqlite", question.jobs())
    start = time.monotonic()
    work(TASK, question, store, workers, deadline=start + 5)
    assert time.monotonic() - start < 10
    states = store.states()
    assert {job.system for job, state in states.items() if state == "done"} == {"constant"}
    assert {state for job, state in states.items() if job.system == "mlp"} == {"open"}


def test_out_of_time_is_neither_an_outcome_nor_a_failure(store, monkeypatch):
    class Slow:
        def attempt(self, *_):
            raise OutOfTime

    monkeypatch.setattr(module, "contender", lambda *_: Slow())
    work(TASK, QUESTION, store, ONE, deadline=time.monotonic() + 0.5)
    assert set(store.states().values()) == {"open"}


def test_a_deadline_is_the_same_moment_here_and_so_many_seconds_from_now_elsewhere(monkeypatch):
    here, there = Deadline(100.0), Deadline(100.0, same_machine=False)
    monkeypatch.setattr(module.time, "monotonic", lambda: 70.0)
    kept, travelling = pickle.dumps(here), pickle.dumps(there)
    monkeypatch.setattr(module.time, "monotonic", lambda: 1000.0)
    assert pickle.loads(kept).at == 100.0
    assert pickle.loads(travelling).at == 1030.0
    assert pickle.loads(pickle.dumps(Deadline(math.inf, same_machine=False))).at == math.inf


def test_the_split_that_was_encoded_last_is_kept():
    fold = folds(TASK, QUESTION)
    first = fold(1)
    assert fold(1) is first
    assert fold(0) is not first
    assert fold(1) is not first


def test_one_process_gives_the_threads_back_that_it_was_given(store):
    before = torch.get_num_threads()
    work(TASK, QUESTION, store, Workers("this process", 1, before + 1, 2))
    assert torch.get_num_threads() == before
    assert set(store.states().values()) == {"done"}


def test_processes_report_their_progress(tmp_path):
    seen = []
    study = small(tmp_path / "s", jobs=2, progress=lambda p: seen.append(p.done))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    facts = study.summary["environment"]
    assert (facts["backend"], facts["processes"]) == ("loky", 2)
    assert facts["threads"] * 2 <= max(2, os.cpu_count())


def test_work_of_others_is_waited_for(store):
    other = Store(store.path)
    taken = other.claim()
    others_work = threading.Timer(1.0, lambda: other.fail(taken, "no"))
    others_work.start()
    work(TASK, QUESTION, store, ONE)
    assert store.failures() == {taken: "no"}
    assert sum(state == "done" for state in store.states().values()) == 5


PAGE = (Path(__file__).parents[2] / "docs/scale.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The scores of the page's comparison, computed by one process."""
    folder = tmp_path_factory.mktemp("alone") / "s"
    asked = {"networks": "mlp,kan", "rivals": "linear", "splits": 2, "seeds": 1, "settings": 2, "steps": 40}
    lamina.compare("iris", out=folder, jobs=1, **asked)
    return scores(Store(folder / "study.sqlite"))


def test_the_commands_of_the_page_give_the_same_scores(alone, tmp_path):
    commands = re.findall(r"^\$ lamina (.*)$", PAGE, flags=re.M)
    assert len(commands) == 3
    for command in commands:
        call = [sys.executable, "-m", "lamina", *shlex.split(command)]
        subprocess.run(call, cwd=tmp_path, capture_output=True, check=True)
    assert scores(Store(tmp_path / "one/study.sqlite")) == scores(Store(tmp_path / "two/study.sqlite")) == alone


@pytest.mark.parametrize("name", ["ray", "dask"])
def test_the_clusters_of_the_page_give_the_same_scores(name, alone, tmp_path):
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[name])
    (code,) = re.findall(rf'^```python title="{name}_study.py"\n(.*?)^```$', PAGE, flags=re.M | re.S)
    (tmp_path / "study.py").write_text(code)
    ran = subprocess.run([sys.executable, "study.py"], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    folder = tmp_path / f"with-{name}"
    facts = json.loads((folder / "summary.json").read_text())["environment"]
    assert (facts["backend"], facts["processes"], facts["threads"]) == (name, 2, 1)
    assert scores(Store(folder / "study.sqlite")) == alone


def test_a_killed_dask_worker_is_said_in_one_line(tmp_path):
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client,
        joblib.parallel_config(backend="dask"),
    ):
        for pid in client.run(os.getpid).values():
            threading.Timer(WAKE, os.kill, (pid, signal.SIGKILL)).start()
        with pytest.raises(LaminaError, match=r"a worker process was killed, .* go on by --resume"):
            small(tmp_path / "s", jobs=None, steps=1_000_000, rivals="none")
    assert "running" not in Store(tmp_path / "s/study.sqlite").states().values()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc to see processes in")
def test_workers_end_when_their_parent_was_killed(tmp_path):
    code = (
        "import lamina; lamina.compare('digits', networks='mlp,kan', rivals='none', splits=2, seeds=2, settings=2, "
        f"steps=100_000, jobs=2, out={str(tmp_path / 's')!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 60
    while len(workers := loky_workers(process.pid)) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(WAKE)
    process.kill()
    process.wait()
    while any(map(command, workers)) and time.monotonic() < until:
        time.sleep(0.2)
    assert len(workers) == 2
    assert not any(map(command, workers))


def loky_workers(parent):
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [pid for pid in children if "popen_loky" in command(pid)]


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_the_memory_of_a_comparison_is_shared_between_its_processes():
    taken = psutil.Process().memory_info().rss
    assert module.share_of(10**10, ONE) == 10**10
    assert module.share_of(10**10, TWO) == pytest.approx((10**10 - taken) / 2, rel=0.01)
    assert module.share_of(taken // 2, TWO) == 0


def test_with_little_memory_members_are_trained_one_after_another_to_the_same_scores(tmp_path):
    question = replace(QUESTION, networks=("mlp",), rivals=(), settings=3, steps=30)
    stores = [Store(tmp_path / f"{i}.sqlite", question.jobs()) for i in range(2)]
    work(TASK, question, stores[0], ONE)
    work(TASK, question, stores[1], ONE, memory=psutil.Process().memory_info().rss + 20 * 10**6)
    whole, parts = map(scores, stores)
    assert whole.keys() == parts.keys()
    assert list(parts.values()) == list(whole.values())


def test_less_memory_than_a_process_has_taken_is_said(tmp_path):
    question = replace(QUESTION, networks=("mlp",), rivals=())
    store = Store(tmp_path / "mlp.sqlite", question.jobs())
    work(TASK, question, store, ONE, memory=10**6)
    assert "memory is 1 MB for each process" in next(iter(store.failures().values()))
