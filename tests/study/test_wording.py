import pytest

from lamina.study.wording import count, duration, listed, number, printed, short


@pytest.mark.parametrize(
    ("value", "rope", "text"),
    [
        (0.99412, 0.01, "0.994"),
        (54.721, 0.57, "54.72"),
        (68_123.4, 480, "68,123"),
        (3.14159, 0, "3.1416"),
        (-0.5, 0.01, "-0.500"),
        (0.00012345, 1e-6, "0.0001234"),
    ],
)
def test_numbers_show_the_digits_that_matter(value, rope, text):
    assert number(value, rope) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.4e-4, "0.44 ms"),
        (0.0421, "0.042 s"),
        (3.5, "3.5 s"),
        (48.3, "48 s"),
        (119, "119 s"),
        (120, "2.0 min"),
        (210, "3.5 min"),
        (7199, "120.0 min"),
        (7300, "2.0 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(7, "7"), (850, "850"), (1000, "1k"), (19_840, "19.8k"), (1.2e6, "1.2M"), (3.25e9, "3.25G")]
)
def test_large_numbers_are_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("names", "text"),
    [("", ""), ("a", "a"), ("ab", "a and b"), ("abcd", "a, b, c and d"), ("abcdef", "a, b, c and 3 others")],
)
def test_names_become_a_phrase(names, text):
    assert listed(names) == text


def test_small_counts_are_letters():
    assert [count(n) for n in (0, 1, 12, 13)] == ["no", "one", "twelve", "13"]


def test_metrics_as_people_write_them():
    assert [printed(m) for m in ("roc_auc", "balanced_accuracy", "r2")] == ["ROC AUC", "balanced accuracy", "R²"]
