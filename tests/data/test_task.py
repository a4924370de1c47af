import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lamina.data.task import make_task
from lamina.errors import LaminaError

FRAME = pl.DataFrame(
    {
        "size": np.random.default_rng(0).normal(size=60),
        "colour": ["red", "blue", None] * 20,
        "note": ["x"] * 60,
        "price": np.random.default_rng(1).normal(size=60),
    }
)


def test_a_task_from_a_file(tmp_path):
    path = tmp_path / "house.prices.csv"
    FRAME.write_csv(path)
    task = make_task(path, "price", ignore=["note"])
    assert (task.name, task.kind, task.rows, task.metric.name) == ("house", "regression", 60, "rmse")
    assert task.features.columns == ["size", "colour"]
    np.testing.assert_allclose(task.y, FRAME["price"].to_numpy())
    assert make_task(path, "price", name="mine", metric="mae").metric.name == "mae"


def test_bundled_data_know_their_target():
    task = make_task("breast-cancer")
    assert (task.name, task.kind, task.rows, task.target.classes) == (
        "breast-cancer",
        "binary",
        569,
        ("benign", "malignant"),
    )
    assert task.y.sum() == 212
    assert make_task("breast-cancer", "mean radius").kind == "regression"


def test_rows_without_a_target_are_dropped():
    frame = FRAME.with_columns(price=pl.when(pl.col("size") > 1).then(np.inf).otherwise(pl.col("price")))
    task = make_task(frame, "price")
    kept = frame.filter(pl.col("size") <= 1)
    assert_frame_equal(task.features, kept.drop("price"))
    assert f"rows without a target were left out: {60 - kept.height} of 60" in task.warnings


def test_the_fingerprint_is_that_of_the_data(tmp_path):
    FRAME.write_csv(tmp_path / "a.csv")
    FRAME.write_parquet(tmp_path / "a.parquet")
    one = make_task(FRAME, "price").fingerprint
    assert make_task(tmp_path / "a.csv", "price").fingerprint == one
    assert make_task(tmp_path / "a.parquet", "price").fingerprint == one
    changed = FRAME.with_columns(size=pl.col("size") + pl.when(pl.int_range(60) == 7).then(1e-9).otherwise(0))
    others = [
        make_task(changed, "price").fingerprint,
        make_task(FRAME.reverse(), "price").fingerprint,
        make_task(FRAME, "size").fingerprint,
        make_task(FRAME, "price", ignore=["colour"]).fingerprint,
        make_task(FRAME.with_columns(colour=pl.col("colour").replace("red", "green")), "price").fingerprint,
    ]
    assert len({one, *others}) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            r"^name the target column; the columns are: size, colour, note, price; perhaps it is .* 'price'$",
        ),
        ({"target": "prise"}, r"^the table has no column 'prise'; the closest are: price, size, note$"),
        (
            {"target": "price", "ignore": ["color"]},
            r"^the table has no column 'color'; the closest are: colour, ",
        ),
        ({"target": "price", "ignore": "color"}, r"^the table has no column 'color'; "),
        ({"target": "note"}, r"^target 'note' is constant: it is 'x' in every row; choose another column$"),
        (
            {"target": "price", "ignore": ["size", "colour"]},
            r"^no column is left to predict 'price' from; columns left out: 'note' \(every cell is x\)$",
        ),
        (
            {"target": "price", "metric": "accuracy"},
            r"^metric 'accuracy' is for binary and multiclass tasks, this ",
        ),
        (
            {"target": "price", "task": "binary"},
            r"^target 'price' has 60 classes; a binary task has two$",
        ),
    ],
)
def test_what_cannot_be_a_task(options, message):
    with pytest.raises(LaminaError, match=message):
        make_task(FRAME, **options)


def test_too_few_rows():
    with pytest.raises(LaminaError, match=r"^the table has 9 rows with a target; at least 10 are needed$"):
        make_task(FRAME.head(9), "price")


def test_the_only_column_is_the_target():
    with pytest.raises(LaminaError, match=r"^no column is left to predict 'price' from; the table has no other$"):
        make_task(FRAME.select("price"), "price")
