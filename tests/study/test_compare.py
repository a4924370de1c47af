import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conftest import small
from joblib.externals.loky import get_reusable_executor

import lamina
from lamina.data.task import make_task
from lamina.errors import LaminaError
from lamina.study.compare import QUICK, sample, seconds
from lamina.study.store import Store

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
COMMAND = [
    *(sys.executable, "-m", "lamina", "compare", "iris", "--networks=mlp,kan", "--rivals=constant,linear"),
    *("--splits=3", "--seeds=2", "--settings=2", "--params=1000", "--steps=60", "--jobs=1", "--resume"),
]


def scores(folder):
    summary = json.loads((Path(folder) / "summary.json").read_text())
    return {r["name"]: (r["scores"], r["ensemble"]) for r in summary["networks"] + summary["rivals"]}


def test_the_summary_has_what_was_promised(study):
    summary = json.loads((study.folder / "summary.json").read_text())
    assert summary["task"] == "multiclass"
    assert summary["metric"] == "accuracy"
    assert summary["higher_is_better"] is True
    assert summary["rows"] == 150
    assert summary["params"] == 1000
    assert [n["name"] for n in summary["networks"]] == ["mlp", "kan"]
    assert [n["name"] for n in summary["rivals"]] == ["constant", "linear"]
    for row in summary["networks"] + summary["rivals"]:
        assert len(row["scores"]) == 6
        assert row["mean"] == pytest.approx(np.mean(row["scores"]))
        assert row["low"] <= row["mean"] <= row["high"]
        assert row["diverged"] == 0
        assert row["fit_seconds"] > 0
    for row in summary["networks"]:
        assert row["params"] == pytest.approx(1000, rel=0.05)
        assert set(row["setting"]) == {"learning_rate", "weight_decay", "dropout"}
    assert set(summary["verdict"]) >= {"best", "decided", "sentence", "pairs"}
    for pair in summary["verdict"]["pairs"]:
        assert pair["better"] + pair["equal"] + pair["worse"] == pytest.approx(1)


def test_networks_learn_and_the_constant_does_not(study):
    means = {r["name"]: r["mean"] for r in study.summary["networks"] + study.summary["rivals"]}
    assert means["constant"] == pytest.approx(1 / 3, abs=0.02)
    assert min(means["mlp"], means["kan"], means["linear"]) > 0.85


def test_only_the_chosen_setting_is_scored_on_the_test_part(study):
    for outcome in Store(study.folder / "study.sqlite").outcomes().values():
        for trial in outcome.trials:
            assert (trial.score is not None) == (trial.setting == outcome.chosen)
        losses = np.array([t.validation for t in outcome.trials]).reshape(len(outcome.settings), -1).mean(1)
        assert outcome.chosen == losses.argmin()


def test_the_pick_follows_the_validation_loss(study):
    rows = {r["name"]: r for r in study.summary["networks"]}
    for k, choice in enumerate(study.summary["pick"]["choices"]):
        assert rows[choice]["validation"][k] == min(r["validation"][k] for r in rows.values())
        assert study.summary["pick"]["scores"][k] == rows[choice]["ensemble"][k]


def test_the_same_question_gives_the_same_scores(study, tmp_path):
    assert scores(small(tmp_path / "again").folder) == scores(study.folder)


def test_processes_give_the_scores_of_one(study, tmp_path):
    together = small(tmp_path / "two", jobs=2)
    assert scores(together.folder) == scores(study.folder)


def test_a_network_that_cannot_be_that_small_is_left_out_and_said(tmp_path):
    study = small(tmp_path / "s", networks="mlp,moe", params=30, splits=1)
    assert [n["name"] for n in study.summary["networks"]] == ["mlp"]
    (error,) = study.summary["errors"]
    assert error["network"] == "moe"
    assert "params=30: the smallest network has" in error["message"]


def test_a_trial_that_diverges_is_recorded_and_the_study_goes_on(tmp_path, monkeypatch):
    from lamina.study import contender
    from lamina.training import Setting

    monkeypatch.setattr(contender, "draw_settings", lambda n: [Setting(learning_rate=1e30), Setting()][:n])
    study = small(tmp_path / "some", networks="mlp")
    (row,) = study.summary["networks"]
    assert row["diverged"] == 6
    assert row["mean"] > 0.8
    assert row["settings"][0]["chosen"] == 0
    lost = small(tmp_path / "all", networks="mlp", settings=1)
    (row,) = lost.summary["networks"]
    assert row["diverged"] == 6
    assert row["scores"] == next(r for r in lost.summary["rivals"] if r["name"] == "constant")["scores"]


def test_a_system_that_fails_is_said_and_the_others_go_on(tmp_path, monkeypatch):
    from lamina.study import work

    real = work.contender

    def broken(system, device):
        if system == "kan":
            raise RuntimeError("two\nlines")
        return real(system, device)

    monkeypatch.setattr(work, "contender", broken)
    study = small(tmp_path / "s", splits=1)
    assert [n["name"] for n in study.summary["networks"]] == ["mlp"]
    assert study.summary["errors"] == [{"network": "kan", "message": "RuntimeError: two"}]


def test_when_every_network_fails_it_says_so_and_a_later_run_tries_again(tmp_path, monkeypatch):
    from lamina.study import work

    real = work.contender

    def broken(system, device):
        if system == "mlp":
            raise MemoryError("too large")
        return real(system, device)

    with monkeypatch.context() as patch:
        patch.setattr(work, "contender", broken)
        with pytest.raises(LaminaError, match="no network finished: mlp: MemoryError: too large"):
            small(tmp_path / "s", networks="mlp", splits=1)
    again = small(tmp_path / "s", networks="mlp", splits=1, resume=True)
    assert [n["name"] for n in again.summary["networks"]] == ["mlp"]


def test_a_killed_worker_is_said_in_one_line(tmp_path):
    killed = []

    def kill(progress):
        if not killed and progress.done > 0:
            killed.append(next(iter(get_reusable_executor(reuse=True)._processes)))
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(LaminaError, match=r"a worker process was killed, .* go on by --resume, with fewer --jobs"):
        small(tmp_path / "s", jobs=2, steps=3000, progress=kill)


def test_a_class_too_rare_for_the_metric_changes_it_or_is_refused(tmp_path):
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({"x": generator.normal(size=100), "y": ["rare" if i < 3 else "common" for i in range(100)]})
    asked = {"networks": "mlp", "rivals": "constant", "seeds": 1, "settings": 1, "params": 500, "steps": 20, "jobs": 1}
    study = lamina.compare(frame, "y", out=tmp_path / "s", **asked)
    assert study.summary["metric"] == "log_loss"
    assert "the metric is log_loss: the class 'rare' has 3 rows, and roc_auc needs one in each" in " ".join(
        study.summary["warnings"]
    )
    with pytest.raises(LaminaError, match="the class 'rare' has 3 rows, and roc_auc needs one in each of 5 test parts"):
        lamina.compare(frame, "y", metric="roc_auc", out=tmp_path / "t", **asked)


def test_a_study_is_not_overwritten_nor_resumed_with_another_question(study):
    with pytest.raises(LaminaError, match="holds a study; go on with it by --resume, or choose another --out"):
        small(study.folder)
    with pytest.raises(LaminaError, match="was asked something else: seeds is 2 there and 3 now"):
        small(study.folder, resume=True, seeds=3)
    assert scores(small(study.folder, resume=True).folder) == scores(study.folder)


def test_a_comparison_races_if_it_is_asked_to_and_says_so(study, tmp_path):
    asked = {"networks": "mlp", "rivals": "constant", "splits": 1, "settings": 3}
    summary = small(tmp_path / "s", racing=True, **asked).summary
    assert summary["racing"] is True
    assert "--racing" in summary["command"]
    assert [w for w in summary["warnings"] if "were stopped early (--racing)" in w]
    trials = [t for o in Store(tmp_path / "s" / "study.sqlite").outcomes().values() for t in o.trials]
    looks = {len(t.curve["validation"]) for t in trials if t.curve["validation"]}
    assert len(looks) > 1
    with pytest.raises(LaminaError, match="was asked something else: racing is True there and False now"):
        small(tmp_path / "s", resume=True, **asked)
    assert study.summary["racing"] is False
    assert not [w for w in study.summary["warnings"] if "--racing" in w]


def test_too_little_time_says_so_and_keeps_what_is_done(tmp_path):
    with pytest.raises(LaminaError, match=r"no split was finished within 0\.001 s; give more time"):
        small(tmp_path / "s", time=0.001)
    assert small(tmp_path / "s", resume=True).summary["splits"] == 3


def test_a_regression_where_lower_is_better(tmp_path):
    frame = pl.DataFrame({"x": np.linspace(-1, 1, 80), "noise": np.random.default_rng(0).normal(size=80)})
    frame = frame.with_columns(price=10 * pl.col("x") + 100)
    study = lamina.compare(
        frame, "price", networks="mlp", rivals="constant,linear", splits=2, seeds=1, settings=1, params=500, steps=60,
        out=tmp_path / "s", jobs=1,
    )  # fmt: skip
    assert study.summary["metric"] == "rmse"
    assert study.summary["higher_is_better"] is False
    assert study.leaderboard()["name"].to_list()[-1] == "constant"
    assert study.leaderboard()["rmse"].is_sorted()
    constant = next(r for r in study.summary["rivals"] if r["name"] == "constant")
    assert study.summary["rope"] == pytest.approx(0.01 * constant["mean"])


def test_the_best_model_predicts_and_is_kept(study):
    frame = make_task("iris").features
    predicted = study.best.predict(frame)
    truth = make_task("iris").target.decode(make_task("iris").y)
    assert np.mean(np.asarray(predicted) == np.asarray(truth)) > 0.9
    again = lamina.Study.open(study.folder).best.predict(frame)
    np.testing.assert_array_equal(again, predicted)


def test_quick_draws_rows_but_keeps_every_class():
    task = make_task("digits")
    big = dataclasses.replace(task, features=pl.concat([task.features] * 3), y=np.concatenate([task.y] * 3))
    small_one = sample(big, QUICK["rows"])
    assert small_one.rows == QUICK["rows"]
    assert set(small_one.y) == set(task.y)
    rare = dataclasses.replace(big, y=np.where(np.arange(big.rows) < 7, 0, 1 + big.y % 9))
    assert np.bincount(sample(rare, 100).y).min() >= 5
    assert sample(task, QUICK["rows"]) is task


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (30, 30)])
def test_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["soon", "-3", "0", "10 days", ""])
def test_times_that_are_none(text):
    with pytest.raises(LaminaError, match="it has to be seconds, or a text such as 90s, 10m or 2h"):
        seconds(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"networks": "mpl"}, "system 'mpl' is not known; the closest are: mlp"),
        ({"rivals": "liner"}, "rival 'liner' is not known; the closest are: linear"),
        ({"rules": "hebbian"}, "rule 'hebbian' is not known; the closest are: backprop"),
        ({"metric": "rmse"}, "metric 'rmse' is for regression tasks, this task is multiclass; use accuracy"),
        ({"splits": 0}, "splits is 0, it has to be at least 1"),
        ({"jobs": -1}, "jobs is -1, it has to be at least 1"),
        ({"params": 5}, "no network can be built: 'mlp' with params=5: the smallest network has"),
        ({"networks": ""}, "no network is named; known are:"),
        ({"device": "abacus"}, "device 'abacus' is not here; this machine has auto, cpu"),
    ],
)
def test_bad_questions_are_answered_in_one_line(tmp_path, options, message):
    with pytest.raises(LaminaError) as error:
        small(tmp_path / "s", **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_study_killed_at_ten_random_moments_ends_with_the_same_scores(study, tmp_path):
    folder, generator = tmp_path / "killed", random.Random(5)
    environment = {**os.environ, "OMP_NUM_THREADS": str(1)}
    killed = 0
    for _ in range(10):
        process = subprocess.Popen(
            [*COMMAND, f"--out={folder}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        waited = time.monotonic() + 30
        while not (folder / "study.sqlite").exists() and time.monotonic() < waited:
            time.sleep(0.05)
        time.sleep(generator.uniform(0, 1.0))
        killed += process.poll() is None
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert killed >= 3
    subprocess.run([*COMMAND, f"--out={folder}"], env=environment, check=True, capture_output=True)
    assert scores(folder) == scores(study.folder)


def test_two_processes_share_a_study(study, tmp_path):
    folder = tmp_path / "shared"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pair = [
        subprocess.Popen([*COMMAND, f"--out={folder}"], env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in pair]
    assert [process.returncode for process in pair] == [0, 0], errors
    assert scores(folder) == scores(study.folder)
    store = Store(folder / "study.sqlite")
    assert set(store.states().values()) == {"done"}
    assert sum(len(o.trials) for o in store.outcomes().values()) == 3 * (2 * 2 * 2 + 2 * 2 + 2)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real tables are not here")
def test_a_table_with_text_missing_values_and_ids(tmp_path):
    study = lamina.compare(
        SHARED / "tables/titanic.csv.gz", "Survived", networks="mlp", rivals="constant,hist_gradient_boosting",
        splits=1, seeds=1, settings=1, params=2000, steps=100, out=tmp_path / "s", jobs=1,
    )  # fmt: skip
    assert study.summary["networks"][0]["mean"] > 0.75
    columns = {c["name"]: c for c in study.summary["columns"]}
    assert not columns["PassengerId"]["used"]
    assert not columns["Name"]["used"]
    assert columns["Sex"]["used"]
