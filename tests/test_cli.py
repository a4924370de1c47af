import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

from lamina import catalog, cli
from lamina.errors import LaminaError

SMALL = ("--networks=mlp", "--rivals=constant,linear", "--splits=2", "--seeds=1", "--settings=1", "--params=500")
FAST = (*SMALL, "--steps=40", "--jobs=1")


@pytest.fixture
def run(capsys):
    """Run a command; give its exit code, its output and its errors."""

    def call(*arguments):
        try:
            cli.main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A regression with text, a date, missing cells, an id, a constant and an empty column."""
    generator, rows = np.random.default_rng(0), 120
    size = generator.normal(100, 20, rows)
    frame = pl.DataFrame(
        {
            "id": np.arange(rows),
            "size": [None if i % 17 == 0 else float(s) for i, s in enumerate(size)],
            "town": generator.choice(["Ulm", "Bonn", "Kiel"], rows),
            "sold": [f"2024-{1 + i % 12:02d}-15" for i in range(rows)],
            "note": [f"free text of row {i}" for i in range(rows)],
            "country": ["DE"] * rows,
            "nothing": [None] * rows,
            "price": 3000 * size + generator.normal(0, 5000, rows),
        }
    )
    path = tmp_path_factory.mktemp("house") / "house.csv"
    frame.write_csv(path)
    return path


def test_compare_prints_the_leaderboard_the_verdict_and_the_report(run, tmp_path):
    code, out, err = run("compare", "iris", *FAST, f"--out={tmp_path / 's'}")
    assert code == 0, err
    assert "iris: 150 rows, 4 columns, multiclass target 'species'; 2 splits x 1 seeds" in out
    assert all(name in out for name in ("mlp", "linear", "constant"))
    summary = json.loads((tmp_path / "s/summary.json").read_text())
    assert summary["verdict"]["sentence"] in out.replace("\n", " ")
    assert str(tmp_path / "s/report.html") in out
    assert (tmp_path / "s/report.html").is_file()
    assert (tmp_path / "s/model/model.json").is_file()


def test_json_prints_the_summary_alone(run, tmp_path):
    code, out, _ = run("compare", "iris", *FAST, f"--out={tmp_path / 's'}", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "s/summary.json").read_text())


@pytest.mark.parametrize(("flags", "racing"), [([], True), (["--no-racing"], False)])
def test_fit_races_unless_it_is_told_not_to(run, monkeypatch, tmp_path, flags, racing):
    seen = []

    def fit_model(*arguments, **options):
        seen.append(options["racing"])
        raise LaminaError("enough")

    monkeypatch.setattr("lamina.model.fit_model", fit_model)
    code, _, err = run("fit", "iris", "--network=mlp", f"--out={tmp_path / 'm'}", *flags)
    assert (code, err, seen) == (2, "lamina: enough\n", [racing])


def test_fit_and_predict_go_through_a_model_folder(run, house, tmp_path):
    model, predictions = tmp_path / "m", tmp_path / "p.csv"
    code, out, err = run(
        "fit",
        str(house),
        "--target=price",
        "--network=mlp",
        f"--out={model}",
        "--params=500",
        "--settings=1",
        "--seeds=2",
    )
    assert code == 0, err
    assert out == f"mlp for price (regression), 120 rows: {model}\n"
    code, out, err = run("predict", str(model), str(house), f"--out={predictions}")
    assert code == 0, err
    truth, predicted = pl.read_csv(house)["price"], pl.read_csv(predictions)["prediction"]
    assert np.corrcoef(truth, predicted)[0, 1] > 0.9

    without = house.with_name("without.csv")
    pl.read_csv(house).drop("size", "town", "price").write_csv(without)
    code, _, err = run("predict", str(model), str(without))
    assert code == 2
    assert err == "lamina: the table lacks the columns 'size', 'town', which the preprocessing needs\n"

    unseen = house.with_name("unseen.csv")
    pl.read_csv(house).with_columns(town=pl.lit("Rom"), more=pl.lit(1)).drop("price").write_csv(unseen)
    code, out, err = run("predict", str(model), str(unseen))
    assert code == 0, err
    assert len(out.splitlines()) == 121


def test_what_happened_to_each_column_is_said(run, house, tmp_path):
    run("compare", str(house), "--target=price", *FAST, f"--out={tmp_path / 's'}")
    columns = {c["name"]: c for c in json.loads((tmp_path / "s/summary.json").read_text())["columns"]}
    assert {name for name, c in columns.items() if c["used"]} == {"size", "town", "sold"}
    kinds = {name: c["kind"] for name, c in columns.items()}
    assert kinds == {
        "id": "id", "size": "number", "town": "category", "sold": "date", "note": "text", "country": "constant",
        "nothing": "empty",
    }  # fmt: skip
    assert columns["size"]["missing"] == 8


def test_the_report_is_written_again_alone_and_for_several_studies(run, tmp_path):
    for name in ("iris", "wine"):
        run("compare", name, *FAST, f"--out={tmp_path / name}")
    (tmp_path / "iris/report.html").unlink()
    code, out, _ = run("report", str(tmp_path / "iris"))
    assert (code, out) == (0, f"{tmp_path / 'iris/report.html'}\n")
    code, out, _ = run("report", str(tmp_path))
    assert (code, out) == (0, f"{tmp_path / 'report.html'}\n")
    text = (tmp_path / "report.html").read_text()
    assert "iris" in text
    assert "wine" in text


def test_list_show_and_data(run):
    code, out, _ = run("list", "--json")
    assert [s["name"] for s in json.loads(out)] == list(catalog.systems())
    assert [s["name"] for s in json.loads(run("list", "resn", "--json")[1])] == ["resnet"]
    assert {s["kind"] for s in json.loads(run("list", "--kind=layer", "--json")[1])} == {"layer"}
    assert all(name in run("list")[1] for name in catalog.systems())
    code, out, _ = run("show", "kan")
    assert code == 0
    assert "arXiv:2404.19756" in out
    assert "grid" in out
    assert all(name in run("data")[1] for name in ("breast-cancer", "wine", "iris", "digits", "diabetes"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "nope.csv"], "no file 'nope.csv'"),
        (["compare", "iris", "--networks=mpl"], "system 'mpl' is not known; the closest are: mlp, "),
        (["compare", "iris", "--target=specis"], "no column 'specis'; the closest are: species, "),
        (["compare", "iris", "--time=soon"], "time is 'soon', it has to be seconds, or a text such as 90s, 10m or 2h"),
        (["compare", "iris", "--params=few"], "Invalid value"),
        (["compare", "iris", "--splts=3"], "Unknown option: --splts"),
        (["comprae", "iris"], 'Unknown command "comprae". Did you mean "compare"'),
        (["show", "kam"], "system 'kam' is not known; the closest are: kan, "),
        (["list", "zzz"], "no system fits *zzz*"),
        (["list", "--kind=leyer"], "kind 'leyer' is not known; kinds are: layer, network, rule, method"),
        (["predict", "nowhere", "iris"], "'nowhere' is not a model folder: model.json is missing"),
        (["report", "nowhere"], "'nowhere' holds no finished study: summary.json is missing"),
        (["report"], "name the folder of a study"),
        (["compare", "iris", "--device=cuda:x"], "device 'cuda:x' is not here"),
        (["fit", "iris", "--network=mlp", "--out=m", "--seeds=0"], "seeds is 0, it has to be at least 1"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("lamina: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "is empty"),
        ("x,y\n", "no row"),
        ("x,y\n" + "1,a\n2,a\n" * 10, "constant"),
        ("x,y\n" + "1,\n2,\n" * 10, "missing"),
        ("x,y\n" + "1,a\n2,a\n3,b\n4,b\n" * 5 + "5,c\n", "'c'"),
        ("x,y\n" + "".join(f"7,{i % 2}\n" for i in range(30)), "no column is left"),
    ],
)
def test_tables_that_cannot_be_learnt_say_why(run, tmp_path, table, message):
    path = tmp_path / "t.csv"
    path.write_text(table)
    code, out, err = run("compare", str(path), "--target=y", f"--out={tmp_path / 's'}")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "s").exists()


def test_a_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("compare", "iris", *FAST, f"--out={tmp_path / 'file' / 's'}")
    assert code == 2
    assert "the study cannot be written to" in err


def test_a_full_disk_loses_nothing(run, tmp_path, monkeypatch):
    import sqlite3

    from lamina.study.store import Store

    real, calls = Store.finish, []

    def full(self, job, outcome):
        calls.append(job)
        if len(calls) == 2:
            raise sqlite3.OperationalError("database or disk is full")
        real(self, job, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "finish", full)
        code, _, err = run("compare", "iris", *FAST, f"--out={tmp_path / 's'}")
    assert code == 1
    assert "database or disk is full; what is finished is kept, --resume goes on" in err
    assert sum(state == "done" for state in Store(tmp_path / "s/study.sqlite").states().values()) == 1
    code, _, err = run("compare", "iris", *FAST, f"--out={tmp_path / 's'}", "--resume")
    assert code == 0, err


def test_a_damaged_store_is_named(run, tmp_path):
    run("compare", "iris", *FAST, f"--out={tmp_path / 's'}")
    (tmp_path / "s/study.sqlite").write_bytes(b"no database" * 500)
    code, _, err = run("compare", "iris", *FAST, f"--out={tmp_path / 's'}", "--resume")
    assert code == 2
    assert err.startswith("lamina: the study's study.sqlite is damaged: ")


def test_predictions_that_cannot_be_written_say_nothing_of_studies(run, house, tmp_path):
    run("fit", str(house), "--target=price", "--network=mlp", f"--out={tmp_path / 'm'}", "--params=500", "--settings=1")
    code, _, err = run("predict", str(tmp_path / "m"), str(house), f"--out={tmp_path / 'nowhere/p.csv'}")
    assert code == 1
    assert "resume" not in err
    assert err.count("\n") == 1


def test_a_terminal_without_the_letters_of_the_data_is_no_reason_to_stop(tmp_path):
    pl.DataFrame({"x": np.arange(40.0), "größe 大": np.arange(40.0) * 2 + 1}).write_csv(tmp_path / "t.csv")
    command = [sys.executable, "-m", "lamina", "compare", str(tmp_path / "t.csv"), "--target=größe 大", *FAST]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    subprocess.run([*command, f"--out={tmp_path / 's'}"], env=environment, check=True, capture_output=True)


def test_an_interrupt_ends_all_processes_and_keeps_what_is_finished(tmp_path):
    folder = tmp_path / "s"
    command = [sys.executable, "-m", "lamina", "compare", "digits", "--jobs=2", f"--out={folder}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    waited = time.monotonic() + 60
    while time.monotonic() < waited and not done(folder):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert err == "lamina: broken off; what is finished is kept, --resume goes on\n"
    assert done(folder) >= 1


def done(folder):
    from lamina.study.store import Store

    if not (folder / "study.sqlite").exists():
        return 0
    return sum(state == "done" for state in Store(folder / "study.sqlite").states().values())


def test_the_standard_output_of_a_real_process_is_json_alone(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "lamina", "compare", "iris", *FAST, "--json", f"--out={tmp_path / 's'}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["task"] == "multiclass"
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_fit_is_content_with_what_it_has_when_the_time_is_over(run, tmp_path):
    start = time.monotonic()
    code, _, err = run(
        "fit", "diabetes", "--network=mlp", "--settings=2", "--seeds=1", "--time=3s", f"--out={tmp_path / 'm'}"
    )
    assert (code, err) == (0, "")
    assert (tmp_path / "m" / "model.json").is_file()
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--memory=1MB"], "memory is 1 MB for each process; with"),
        (["--memory=lots"], "memory is 'lots', it has to be a number of bytes"),
        (["--time=1ms"], "time is '1ms', it has to be seconds"),
    ],
)
def test_limits_that_cannot_be_kept_are_said(run, tmp_path, flags, message):
    code, _, err = run("fit", "iris", "--network=mlp", *flags, f"--out={tmp_path / 'm'}")
    assert code == 2
    assert message in err
    assert not (tmp_path / "m").exists()


def test_compare_is_not_for_torchrun(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, err = run("compare", "iris", *FAST)
    assert code == 2
    assert "torchrun is for lamina fit" in err


def test_reproduce_prints_the_findings_and_writes_the_evidence(run, tmp_path):
    code, out, err = run("reproduce", "prelu_xor", "--seeds=2", "--jobs=1", f"--out={tmp_path}")
    assert code == 0, err
    assert "Not decided at scale quick: 2 seeds" in out
    assert "1 claim: 0 hold, 0 do not hold, 1 is not decided" in out
    assert (tmp_path / "quick" / "prelu_xor.json").is_file()
    code, out, _ = run("reproduce", "prelu_xor", "--seeds=1-2", "--jobs=1", f"--out={tmp_path}", "--json", "--resume")
    (claim,) = json.loads(out)["claims"]
    keys = ["name", "paper", "says", "scale", "seeds", "measured", "baseline", "verdict", "seconds"]
    assert (list(claim), claim["seeds"]) == (keys, [1, 2])
    code, out, _ = run("evidence", str(tmp_path))
    assert "prelu_xor" in out
    code, out, _ = run("evidence", str(tmp_path), "--html")
    assert (tmp_path / "index.html").read_text().count("<circle") >= 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "prelu_xr"], "claim 'prelu_xr' is not known; the closest are: prelu_xor"),
        (["reproduce", ","], "',' names no claim; there are activations, activator"),
        (["reproduce", "kan", "--seeds=ten"], "--seeds is 'ten', it has to be a number such as 5 or a range"),
        (["reproduce", "kan", "--seeds=5-3"], "--seeds is '5-3'"),
        (["reproduce", "kan", "--seeds=0"], "seeds is 0"),
        (["reproduce", "kan", "--scale=big"], "scale 'big' is not known"),
        (["evidence", "nowhere"], "there is no evidence in 'nowhere'"),
    ],
)
def test_claims_that_cannot_be_measured_end_with_one_line(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (cli.BAD_INPUT, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_claim_without_its_data_says_what_to_set(run, tmp_path, monkeypatch):
    monkeypatch.delenv("LAMINA_DATA", raising=False)
    code, out, err = run("reproduce", "resnet", "--scale=full", "--seeds=1", "--jobs=1", f"--out={tmp_path}")
    assert (code, out) == (cli.BAD_INPUT, "")
    assert "resnet could not be measured: mnist/" in err
    assert "set LAMINA_DATA" in err
