import numpy as np
import polars as pl
import pytest

from lamina.data.task import make_task

RNG = np.random.default_rng(0)
N = 400
NOISE = pl.DataFrame({"a": RNG.normal(size=N), "b": RNG.normal(size=N)})
LABEL = np.arange(N) % 2
VALUE = RNG.normal(size=N)
LEAK = (
    "the column 'leak' alone nearly determines the target: leave it out if it is not known at the time of a "
    "prediction, or the comparison says nothing"
)


def said(y, **columns):
    return make_task(NOISE.with_columns(**{k: pl.Series(v) for k, v in columns.items()}, y=pl.Series(y)), "y").warnings


def test_nothing_is_said_of_honest_data():
    assert said(LABEL) == ()
    assert said(VALUE) == ()
    assert said(LABEL, c=["u", "v", "w", "u"] * 100) == ()


@pytest.mark.parametrize(
    "leak",
    [
        LABEL * 2.0 + RNG.random(N),
        -(LABEL * 2.0 + RNG.random(N)),
        ["yes" if k else "no" for k in LABEL],
        [None if i % 3 == 0 else float(k) for i, k in enumerate(LABEL)],
        np.array(["p", "q", "r", "s"])[LABEL + 2 * (np.arange(N) % 4 // 2)],
    ],
)
def test_a_column_that_tells_the_class(leak):
    assert said(LABEL, leak=leak) == (LEAK,)


def test_a_column_that_tells_one_of_three_classes_only_is_no_leak():
    y = np.arange(N) % 3
    assert said(y, leak=np.minimum(y, 1) + RNG.random(N) / 2) == ()
    assert said(y, leak=y + RNG.random(N) / 2) == (LEAK,)


def test_a_column_that_orders_the_target():
    assert said(VALUE, leak=np.exp(VALUE)) == (LEAK,)
    assert said(VALUE, leak=-(VALUE**3)) == (LEAK,)
    assert said(VALUE, leak=VALUE + RNG.normal(size=N) / 4) == ()


def test_a_small_test_part():
    frame = NOISE.head(100).with_columns(y=pl.Series(LABEL[:100]))
    assert make_task(frame, "y").warnings == (
        "a test part has only 20 rows, so chance has a large part in every score",
    )


def test_rare_classes():
    y = np.where(np.arange(N) < 4, "rare", "other")
    assert said(y) == (
        "the metric is log_loss: the class 'rare' has 4 rows, and roc_auc needs one in each of 5 test parts",
        "the class 'rare' is rare: 4 of 400 rows (1.0 %)",
        "the class 'rare' has fewer than 5 rows, so some test parts lack it",
    )


def test_copies():
    frame = NOISE.with_columns(y=pl.Series(LABEL))
    assert make_task(pl.concat([frame, frame.head(40)]), "y").warnings == (
        "40 rows (9.1 %) equal another row in every column that is used, so test rows may have been seen in training",
    )


def test_rows_and_columns_that_are_left_out():
    y = [None if i % 10 == 0 else float(v) for i, v in enumerate(VALUE)]
    assert said(y, k=[1] * N) == (
        "rows without a target were left out: 40 of 400",
        "columns left out: 'k' (every cell is 1)",
    )


def test_a_score_taken_as_a_quantity():
    score = np.clip(np.round(RNG.normal(5, 1.2, size=N)), 1, 9).astype(int)
    (sentence,) = said(score)
    assert sentence == (
        f"the target 'y' has {len(set(score))} distinct values and is taken as a quantity; "
        "give the task 'multiclass' if they are classes"
    )
