import json
import shlex

import numpy as np
import pytest

from lamina import cli
from lamina.study.store import Store
from lamina.study.summary import environment
from lamina.study.workers import Workers


def test_scores_stand_split_by_split_and_seed_by_seed(study):
    outcomes = Store(study.folder / "study.sqlite").outcomes()
    for row in study.summary["networks"]:
        mine = [o for job, o in sorted(outcomes.items(), key=lambda x: x[0].split) if job.system == row["name"]]
        assert row["scores"] == [t.score for o in mine for t in o.trials if t.setting == o.chosen]
        assert row["ensemble"] == [o.ensemble for o in mine]
        assert sum(s["chosen"] for s in row["settings"]) == len(mine)


def test_curves_belong_to_the_chosen_setting_and_reach_the_validation_loss(study):
    for row in study.summary["networks"]:
        assert {(c["split"], c["seed"]) for c in row["curves"]} == {(k, s) for k in range(3) for s in range(2)}
        for k in range(3):
            lowest = [min(c["validation"]) for c in row["curves"] if c["split"] == k]
            assert np.mean(lowest) == pytest.approx(row["validation"][k], rel=1e-3)


def test_the_summary_is_json_without_numbers_that_json_lacks(study):
    json.dumps(study.summary, allow_nan=False)


def test_the_command_asks_the_same_question_again(study, tmp_path):
    arguments = shlex.split(study.summary["command"])
    assert arguments[:3] == ["lamina", "compare", "iris"]
    cli.main([*arguments[1:], f"--out={tmp_path / 's'}", "--jobs=1"])
    again = json.loads((tmp_path / "s/summary.json").read_text())
    assert [r["scores"] for r in again["networks"]] == [r["scores"] for r in study.summary["networks"]]


def test_what_it_ran_on_is_said():
    facts = environment("cpu", Workers("loky", 2, 3, 6))
    assert facts["device"] == "cpu"
    assert (facts["backend"], facts["processes"], facts["threads"]) == ("loky", 2, 3)
    assert facts["cores"] >= 1
    assert all(facts[name] for name in ("python", "torch", "scikit-learn", "numpy", "polars", "machine", "system"))
