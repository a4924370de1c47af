"""Errors name what was given and what is close to it."""

import pytest

from lamina.errors import LaminaError, closest, unknown

KNOWN = ("densenet", "hourglass", "KAN", "mlp", "resnet")


def test_closest_are_best_first_and_keep_their_own_spelling():
    assert closest("kan", KNOWN)[0] == "KAN"
    assert closest("RESNETT", KNOWN) == ["resnet", "densenet", "hourglass"]
    assert closest("mpl", KNOWN, n=1) == ["mlp"]


def test_a_name_like_none_of_them_is_answered_too():
    assert len(closest("???", KNOWN)) == 3
    assert set(closest("", KNOWN, n=9)) == set(KNOWN)


@pytest.mark.parametrize(
    ("known", "text"),
    [
        (["mlp"], "system 'mpl' is not known; the closest are: mlp"),
        ([], "system 'mpl' is not known"),
    ],
)
def test_the_text_of_an_unknown_name(known, text):
    error = unknown("system", "mpl", known)
    assert str(error) == text
    assert isinstance(error, LaminaError)


def test_what_was_given_stays_on_one_line():
    assert "\n" not in str(unknown("system", "two\nlines", KNOWN))
