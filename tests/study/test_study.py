import html
import json
import re
import shutil

import pytest

import lamina
from lamina.errors import LaminaError
from lamina.model import fit_model
from lamina.training import Recipe, Setting


def test_a_study_is_opened_from_its_folder(study):
    again = lamina.Study.open(study.folder)
    assert again.verdict == study.verdict
    assert again.leaderboard().equals(study.leaderboard())


def test_the_leaderboard_is_in_the_order_of_the_means(study):
    table = study.leaderboard()
    assert table["accuracy"].is_sorted(descending=True)
    assert set(table["name"]) == {"mlp", "kan", "constant", "linear"}
    assert dict(zip(table["name"], table["kind"], strict=True))["linear"] == "rival"


def test_the_report_goes_where_it_is_told(study, tmp_path):
    path = study.report(tmp_path / "r.html")
    text = re.sub(r"<[^>]+>", "", path.read_text())
    assert study.verdict.sentence.removeprefix("Not decided: ") in html.unescape(" ".join(text.split()))


def test_a_folder_without_a_study_or_with_a_damaged_one_is_named(tmp_path):
    with pytest.raises(LaminaError, match=r"holds no finished study: summary\.json is missing"):
        lamina.Study.open(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(LaminaError, match=r"summary\.json' is damaged"):
        lamina.Study.open(tmp_path)


def test_a_study_without_a_model_says_how_to_get_one(study, tmp_path):
    (tmp_path / "s").mkdir()
    shutil.copy(study.folder / "summary.json", tmp_path / "s")
    with pytest.raises(LaminaError, match="holds no model of its best network; run the comparison again with --resume"):
        _ = lamina.Study.open(tmp_path / "s").best


def test_a_model_of_another_network_is_not_taken_for_the_best(study, tmp_path):
    (tmp_path / "s").mkdir()
    shutil.copy(study.folder / "summary.json", tmp_path / "s")
    other = "kan" if study.verdict.network == "mlp" else "mlp"
    row = next(r for r in study.summary["networks"] if r["name"] == other)
    stale = fit_model(
        study.task, other, settings=[Setting(**row["setting"])], params=1000, seeds=1, recipe=Recipe(steps=5)
    )
    stale.save(tmp_path / "s/model")
    with pytest.raises(LaminaError, match="holds no model of its best network"):
        _ = lamina.Study.open(tmp_path / "s").best
    again = lamina.Study(tmp_path / "s", study.summary, study.task)
    assert again.best.blueprint.network == study.verdict.network


@pytest.mark.parametrize("text", ["[]", "{}"])
def test_a_summary_that_is_none_is_named(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(LaminaError, match="it is no summary of a study"):
        lamina.Study.open(tmp_path)


def test_the_best_model_is_the_best_network_with_its_setting(study):
    about = json.loads((study.best.save(study.folder / "model") / "model.json").read_text())
    row = next(r for r in study.summary["networks"] if r["name"] == study.verdict.network)
    assert about["blueprint"]["network"] == row["name"]
    assert about["about"]["setting"] == row["setting"]
    assert about["about"]["rows"] == 150
