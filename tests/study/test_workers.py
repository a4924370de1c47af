import joblib
import pytest
import torch
from threadpoolctl import threadpool_info

from lamina.errors import LaminaError
from lamina.study import workers as module
from lamina.study.workers import Workers, hire, limited


@pytest.fixture
def machine(monkeypatch):
    """A machine with so many cores, of which PyTorch uses so many threads."""

    def pretend(cores, threads):
        monkeypatch.setattr(module.joblib, "cpu_count", lambda: cores)
        monkeypatch.setattr(module.torch, "get_num_threads", lambda: threads)

    return pretend


@pytest.mark.parametrize(
    ("cores", "omp", "jobs", "left", "processes", "threads"),
    [
        (2, 2, None, 99, 2, 1),
        (2, 2, 1, 99, 1, 2),
        (8, 8, 2, 99, 2, 4),
        (8, 8, 3, 99, 3, 2),
        (8, 4, None, 99, 4, 1),
        (8, 1, None, 99, 1, 1),
        (8, 4, 2, 99, 2, 2),
        (2, 8, None, 99, 2, 1),
        (2, 2, 5, 99, 5, 1),
        (8, 8, None, 3, 3, 2),
        (8, 8, 4, 0, 1, 8),
    ],
)
def test_processes_times_threads_stay_within_the_cores(machine, cores, omp, jobs, left, processes, threads):
    machine(cores, omp)
    hired = hire(jobs, left)
    assert (hired.processes, hired.threads, hired.cores) == (processes, threads, cores)
    assert hired.backend == ("loky" if processes > 1 else "this process")


def test_the_callers_configuration_counts_where_no_jobs_are_asked_for(machine):
    machine(8, 8)
    with joblib.parallel_config(n_jobs=2):
        assert hire(None, 99) == Workers("loky", 2, 4, 8)
        assert hire(4, 99) == Workers("loky", 4, 2, 8)


def test_a_backend_that_shares_its_process_is_refused():
    with (
        joblib.parallel_config(backend="threading"),
        pytest.raises(LaminaError, match="the joblib backend is 'threading', it has to be loky, ray or dask"),
    ):
        hire(2, 99)


def test_a_cluster_has_one_thread_for_each_of_its_cores_and_one_job_stays_here(machine):
    distributed = pytest.importorskip("distributed")
    machine(8, 8)
    with (
        distributed.Client(processes=False, n_workers=3, threads_per_worker=1, dashboard_address=None),
        joblib.parallel_config(backend="dask"),
    ):
        assert hire(None, 99) == hire(9, 99) == Workers("dask", 3, 1, 3)
        assert hire(2, 99) == hire(None, 2) == Workers("dask", 2, 1, 3)
        assert hire(1, 99) == hire(None, 1) == Workers("this process", 1, 8, 8)


def test_a_cluster_that_has_not_been_started_is_named():
    pytest.importorskip("ray.util.joblib").register_ray()
    with (
        joblib.parallel_config(backend="ray"),
        pytest.raises(LaminaError, match=r"the ray cluster does not say how many cores .* before ray.init\(\)"),
    ):
        hire(None, 99)


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (Workers("loky", 2, 1, 2), "2 processes with 1 thread each on 2 cores"),
        (Workers("this process", 1, 4, 4), "1 process with 4 threads on 4 cores"),
        (Workers("ray", 16, 1, 16), "16 processes with 1 thread each on 16 cores by ray"),
        (
            Workers("loky", 4, 1, 1),
            "4 processes with 1 thread each on 1 core, more than there are cores: fewer would be faster",
        ),
    ],
)
def test_words(workers, words):
    assert str(workers) == words


def test_threads_are_limited_in_a_block_and_as_before_after_it():
    before = torch.get_num_threads()
    with limited(before + 2):
        assert torch.get_num_threads() == before + 2
        with limited(1):
            assert torch.get_num_threads() == 1
            assert all(pool["num_threads"] == 1 for pool in threadpool_info())
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before
