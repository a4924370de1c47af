import numpy as np
import polars as pl
import pytest

from lamina.data.blocks import CategoryBlock, NumberBlock, codes_of, measures
from lamina.data.schema import Column


def of(kind, **facts):
    return Column("x", kind, True, kind, **facts)


def test_missing_numbers_are_at_the_median_and_marked():
    block = NumberBlock.fit(pl.Series([1.0, None, 2.0, 9.0]), of("number"), "standard")
    assert (block.names, block.fill.tolist()) == (("x", "x: missing"), [2.0])
    x = block.transform(pl.Series([None, 2.0, float("inf")]))
    assert x[:, 1].tolist() == [1, 0, 1]
    assert x[0, 0] == x[1, 0] == x[2, 0] == pytest.approx((2 - 4) / np.std([1, 2, 9]))


def test_what_is_missing_only_later_is_at_the_median_without_a_mark():
    block = NumberBlock.fit(pl.Series([1.0, 2.0, 9.0]), of("number"), "quantile")
    assert block.names == ("x",)
    np.testing.assert_allclose(block.transform(pl.Series("x", [None], dtype=pl.Float64)), [[0.0]], atol=1e-7)


def test_booleans_are_not_scaled():
    block = NumberBlock.fit(pl.Series([True, True, True, False]), of("boolean"), "quantile")
    assert block.transform(pl.Series([False, True])).ravel().tolist() == [0, 1]


def test_a_training_part_without_values_gives_zeros():
    block = NumberBlock.fit(pl.Series("x", [None, None], dtype=pl.Float64), of("number"), "quantile")
    assert block.transform(pl.Series([3.0, None])).tolist() == [[0, 0], [0, 1]]
    empty = CategoryBlock.fit(pl.Series("x", [None, "?"], dtype=pl.String), of("category"), 16)
    assert (empty.names, empty.transform(pl.Series(["a"])).shape) == ((), (1, 0))


@pytest.mark.parametrize(("embed_above", "names"), [(2, ("x = a", "x = b")), (1, ("x",))])
def test_categories_are_indicators_up_to_a_number_of_values(embed_above, names):
    block = CategoryBlock.fit(pl.Series(["b", "a", None]), of("category"), embed_above)
    assert block.names == names
    expected = [[0, 1], [1, 0], [0, 0]] if embed_above == 2 else [[2], [1], [0]]
    assert block.transform(pl.Series(["b", "a", "new"])).tolist() == expected


def test_codes_and_measures():
    assert codes_of(pl.Series(["b", " a", "z", None]), ("a", "b")).tolist() == [1, 0, -1, -1]
    assert codes_of(pl.Series([2.0, 1.0]), ("1", "2")).tolist() == [1, 0]
    assert list(measures(pl.Series(["2024-01-01"]), of("date"))) == [
        "elapsed",
        "year",
        "month",
        "day",
        "weekday",
        "second",
    ]
    assert measures(pl.Series(["4", "none"]), of("number", words=("none",)))[""][0] == 4
