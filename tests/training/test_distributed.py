import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina import cli
from lamina.errors import LaminaError
from lamina.training import distributed
from lamina.training.distributed import ALONE, Ranks, current, joined
from lamina.training.noise import Noise

PAGE = (Path(__file__).parents[2] / "docs/scale.md").read_text(encoding="utf-8")
(TORCHRUN,) = re.findall(r"^\$ torchrun (.*) --out m$", PAGE, flags=re.M)
FIT = TORCHRUN.split("-m lamina ")[1].split()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(arguments, **variables) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in variables.items()}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=environment, **pipes)


def pair(*arguments) -> list[tuple[int, str, str]]:
    """Two processes that torchrun would have started, each with its arguments: exit code, output, errors."""
    port = free_port()
    shared = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [start(a, RANK=rank, LOCAL_RANK=rank, **shared) for rank, a in enumerate(arguments)]
    told = [process.communicate(timeout=120) for process in ranks]
    return [(process.returncode, *told[rank]) for rank, process in enumerate(ranks)]


@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_parts_are_all_rows_and_differ_by_one_at_most(rows, world):
    parts = [Ranks(rank, world).part(rows) for rank in range(world)]
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(3, 40), st.integers(1, 3), st.integers(1, 7))
def test_the_parts_draw_what_one_process_draws(rows, world, features):
    drawn = []
    for ranks in [ALONE, *(Ranks(rank, world) for rank in range(world))]:
        part = ranks.part(rows)
        shape = (2, part.stop - part.start, features)
        noise = Noise([(1,), (2,)], torch.device("cpu"), ranks.shard(rows))
        noise.reserve([shape[1] * shape[2]] * 2)
        noise.begin(3)
        drawn.append(noise.uniform(1, shape, torch.float32))
    assert torch.equal(torch.cat(drawn[1:], dim=1), drawn[0])


def test_more_processes_than_rows_are_refused():
    with pytest.raises(LaminaError, match="3 processes for batches of 2 rows"):
        Ranks(0, 3).shard(2)


def test_alone_everything_stays_as_it_is(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with joined() as ranks:
        assert ranks is current() is ALONE
        assert ranks.leads
        loss, gradient = torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [4.0]])
        ranks.combine(loss, gradient, 7, None)
        ranks.sum(loss, gradient)
        ranks.follow(loss, gradient)
        assert loss.tolist() == [1, 2]
        assert gradient.tolist() == [[3], [4]]
        assert [ranks.any(True), ranks.any(False)] == [True, False]
        assert 0 < ranks.memory("cpu") < psutil.virtual_memory().total


def test_one_process_of_torchrun_is_alone(monkeypatch):
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}.items():
        monkeypatch.setenv(name, str(value))
    with joined("cpu") as ranks:
        assert ranks is ALONE


def test_devices_that_cannot_be_shared_are_refused(monkeypatch):
    for name, value in {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(distributed, "choose_device", torch.device)
    with pytest.raises(LaminaError, match="device 'mps' cannot be shared by 2 processes"), joined("mps"):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(LaminaError, match="2 processes for 1 GPUs"), joined("cuda"):
        pass


SCRIPT = """
import dataclasses, json, math, sys, time
from pathlib import Path
import numpy as np
import torch
from torch import nn
from lamina import create
from lamina.errors import LaminaError
from lamina.training import Fleet, Member, OutOfTime, Recipe, Setting, train
from lamina.training.distributed import joined

folder = Path(sys.argv[1])
generator = torch.Generator().manual_seed(0)
x = torch.randn(130, 4, generator=generator)
y, weight = (x[:, 0] * x[:, 1] > 0).long(), torch.rand(130, generator=generator)
weight[:40] = 0
recipe = Recipe(steps=60, batch_size=33, checks=10)
rows = np.arange(130)


def run(recipe=recipe, build=None, seed=0, dtype=torch.float32, **options):
    build = build or (lambda i: create("mlp", in_features=4, out_features=2, width=16, dropout=0.3, seed=i))
    fleet = Fleet([build(i).to(dtype) for i in range(2)])
    validation = (rows[99:], rows[99:106])
    members = [Member(Setting(dropout=0.3), i + seed, rows[:99], validation[i]) for i in range(2)]
    traces = train(fleet, members, x.to(dtype), y, recipe=recipe, **options)
    buffers = {name: tensor.double().flatten().tolist() for name, tensor in fleet.buffers.items()}
    return [fleet.parameters.tolist(), buffers, [dataclasses.asdict(trace) for trace in traces]]


def caught(function, **options):
    try:
        function(**options)
    except (LaminaError, OutOfTime) as error:
        return f"{type(error).__name__}: {error}"


class Halfway(Exception):
    pass


def stop(done, planned):
    if done >= planned / 2:
        raise Halfway


def broken_off():
    path = folder / "checkpoint"
    try:
        run(checkpoint=path, progress=stop)
    except Halfway:
        pass
    if ranks.world > 1:  # the first process alone writes the checkpoint, and may still be at it
        torch.distributed.barrier()
    return run(checkpoint=path)


def normed(i):
    torch.manual_seed(i)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


with joined("cpu") as ranks:
    found = {
        "plain": run(),
        "weighted": run(weight=weight),
        "float64": run(dtype=torch.float64, weight=weight.double()),
        "resumed": broken_off(),
        "long deadline": run(deadline=time.monotonic() + 1000),
        "batch norm": run(build=normed),
    }
    if ranks.world > 1:
        deadline = time.monotonic() + (-1 if ranks.rank else 1000)
        found |= {"late": caught(run, deadline=deadline), "differ": caught(run, seed=ranks.rank)}
        found |= {"memory": ranks.memory("cpu")}
found["threads"] = [name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")]
(folder / f"{ranks.world}-{ranks.rank}.json").write_text(json.dumps(found))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> list[dict]:
    """What the script above finds alone, and in each of two processes."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "script.py").write_text(SCRIPT)
    command = (folder / "script.py", folder)
    for code, out, err in pair(command, command):
        assert (code, out) == (0, ""), err
    (folder / "checkpoint").unlink()
    alone = start(command)
    assert alone.wait(timeout=120) == 0, alone.stderr.read()
    return [json.loads((folder / name).read_text()) for name in ("1-0.json", "2-0.json", "2-1.json")]


@pytest.mark.parametrize("name", ["plain", "weighted", "resumed", "long deadline"])
def test_two_processes_train_as_one_does(trained, name):
    """With dropout, batches of an odd number of rows, validation parts of unequal lengths."""
    alone, first, second = (found[name] for found in trained)
    assert first == second
    np.testing.assert_allclose(first[0], alone[0], rtol=1e-4, atol=1e-5)
    for mine, wanted in zip(first[2], alone[2], strict=True):
        assert mine["validation"] == pytest.approx(wanted["validation"], rel=1e-5)
        assert mine["train"] == pytest.approx(wanted["train"], rel=1e-5)
        assert mine["steps"] == wanted["steps"]


def test_what_differs_is_rounding(trained):
    alone, together = (np.array(found["float64"][0]) for found in trained[:2])
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


def test_weights_change_what_is_learnt(trained):
    assert not np.allclose(trained[0]["plain"][0], trained[0]["weighted"][0], rtol=1e-2)


def test_batch_normalisation_ends_alike_in_all_processes(trained):
    alone, first, second = (found["batch norm"] for found in trained)
    assert first == second
    assert first[2][0]["validation"][-1] == pytest.approx(alone[2][0]["validation"][-1], rel=0.2)


def test_if_one_process_is_late_all_stop(trained):
    assert [found["late"] for found in trained[1:]] == ["OutOfTime: "] * 2


def test_processes_that_would_train_different_networks_are_stopped(trained):
    said = "LaminaError: the processes do not train the same: their rows, settings or checkpoints differ"
    assert [found["differ"] for found in trained[1:]] == [said] * 2


def test_processes_agree_on_their_memory(trained):
    one, other = (found["memory"] for found in trained[1:])
    assert one == other > 0


def test_no_thread_of_the_group_outlives_it(trained):
    """One that did would now and then abort the process at its end."""
    assert [name for found in trained for name in found["threads"] if "gloo" in name] == []


def validation(folder: Path) -> list[float]:
    return json.loads((folder / "model.json").read_text())["about"]["validation"]


def test_the_torchrun_of_the_page_fits_the_model_of_one_process(tmp_path):
    cli.main([*FIT, f"--out={tmp_path / 'one'}"])
    torchrun = ("-m", "torch.distributed.run", f"--master-port={free_port()}", *TORCHRUN.split())
    together = start((*torchrun, f"--out={tmp_path / 'two'}"))
    out, err = together.communicate(timeout=120)
    assert together.returncode == 0, err
    assert out == f"mlp for species (multiclass), 150 rows: {tmp_path / 'two'}\n"
    assert err == ""
    assert validation(tmp_path / "two") == pytest.approx(validation(tmp_path / "one"), abs=1e-4)


def test_an_error_in_one_process_ends_all_with_one_line(tmp_path):
    fit = ("-m", "lamina", *FIT, f"--out={tmp_path / 'model'}")
    (first, *told), (second, *more) = pair(fit, [a.replace("iris", "missing.csv") for a in fit])
    assert first != 0
    assert second == 2
    assert "".join(told) == ""
    assert more[0] == ""
    assert more[1].startswith("lamina: ")
    assert more[1].count("\n") == 1
    assert not (tmp_path / "model").exists()
