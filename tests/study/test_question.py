import dataclasses

import pytest

from lamina.errors import LaminaError
from lamina.study.question import Job, Question

QUESTION = Question(
    data='a "b" \\ ü', target="y", task="binary", metric="roc_auc", rows=10, fingerprint="ff", networks=("mlp", "kan"),
    rivals=("linear",), rules=("backprop",), params=100, splits=2, seeds=1, settings=3,
)  # fmt: skip


def test_a_question_comes_back_from_disk(tmp_path):
    QUESTION.write(tmp_path)
    assert Question.read(tmp_path) == QUESTION


def test_odd_characters_come_back_from_disk(tmp_path):
    odd = dataclasses.replace(QUESTION, target="a\x7fb \U0001f600", ignore=("x\ty",), quick=True)
    odd.write(tmp_path)
    assert Question.read(tmp_path) == odd


def test_the_path_of_the_data_may_differ(tmp_path):
    dataclasses.replace(QUESTION, source="./a.csv").require_same(QUESTION, tmp_path)


def test_jobs_go_split_by_split():
    assert list(QUESTION.jobs()) == [Job(s, k) for k in range(2) for s in ("linear", "mlp", "kan")]


def test_another_question_is_refused_with_what_differs(tmp_path):
    other = dataclasses.replace(QUESTION, seeds=4, metric="accuracy")
    with pytest.raises(LaminaError) as error:
        other.require_same(QUESTION, tmp_path)
    assert "metric is 'roc_auc' there and 'accuracy' now; seeds is 1 there and 4 now" in str(error.value)


@pytest.mark.parametrize("text", ["data = ", "nothing = 1", "\x00"])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(LaminaError, match=r"study\.toml' is damaged"):
        Question.read(tmp_path)


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(LaminaError, match=r"holds no study: study\.toml is missing"):
        Question.read(tmp_path)
