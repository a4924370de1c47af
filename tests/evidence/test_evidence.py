import pytest

import lamina
from lamina.errors import LaminaError
from lamina.evidence import Evidence, collected, counted
from lamina.evidence.evidence import medians, place


def test_the_summary_is_what_the_command_prints(known):
    found = lamina.reproduce("toy", jobs=1)
    summary = found.summary()
    keys = ["name", "paper", "says", "scale", "seeds", "measured", "baseline", "verdict", "seconds"]
    assert list(summary) == keys
    assert summary["baseline"] == {"biased": {"error": found.findings[0]["baseline"]}}
    assert summary["measured"] == {"error": found.findings[0]["system"]}


def test_a_seed_without_a_number_leaves_no_median():
    assert medians({"a": [1.0, 3.0, 2.0], "b": [1.0, None], "c": [1.0, float("inf")]}) == {
        "a": 2.0,
        "b": None,
        "c": None,
    }


def test_numbers_that_json_does_not_have_come_back_as_none(known, monkeypatch, tmp_path):
    found = lamina.reproduce("toy", jobs=1)
    found.system["values"]["error"][0] = float("nan")
    found.save(tmp_path / "toy.json")
    assert Evidence.load(tmp_path / "toy.json").system["values"]["error"][0] is None


def test_of_each_claim_the_largest_scale_is_collected(known, tmp_path):
    for scale in ("quick", "full"):
        lamina.reproduce("toy", scale=scale, jobs=1, out=tmp_path)
    (found,) = collected(tmp_path)
    assert found.scale == "full"
    assert counted([found]) == "1 claim: 1 holds, 0 do not hold, 0 are not decided"
    assert counted([found, found]) == "2 claims: 2 hold, 0 do not hold, 0 are not decided"


def test_a_folder_without_evidence_says_how_to_make_some(tmp_path):
    with pytest.raises(LaminaError, match="lamina reproduce all makes it"):
        collected(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "toy"}'])
def test_a_damaged_file_is_refused(tmp_path, text):
    path = place(tmp_path, "quick", "toy")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(LaminaError, match=r"toy\.json is no evidence"):
        collected(tmp_path)
