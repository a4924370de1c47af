import json
import math

import pytest

from lamina.files import finite, write_json, write_text


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b.txt"
    write_text(path, "one")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_text(path, "two")
    assert path.read_text() == "one"


def test_numbers_that_json_does_not_have_are_none(tmp_path):
    assert finite({"a": [1.0, math.nan, (math.inf,)], "b": "x"}) == {"a": [1.0, None, [None]], "b": "x"}
    write_json(tmp_path / "a.json", {"ä": math.nan})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ä": None}


def test_half_a_pair_of_surrogates_does_not_stop_a_file(tmp_path):
    write_text(tmp_path / "a.txt", "a\ud800b")
    assert (tmp_path / "a.txt").read_text() == "a?b"
