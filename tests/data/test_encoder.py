import datetime as dt
import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamina.data.encoder import Encoder, ordinal
from lamina.data.schema import infer_schema
from lamina.errors import LaminaError

TEXT = st.one_of(st.none(), st.sampled_from(["a", "b", "c", " a ", "?", "", "new", "né"]))
NUMBER = st.one_of(st.none(), st.floats(), st.sampled_from([math.inf, -math.inf, math.nan, 0.0, 1e308, 5e-324]))
DATE = st.one_of(st.none(), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)))
ROW = st.fixed_dictionaries(
    {
        "x": NUMBER,
        "n": st.one_of(st.none(), st.integers(-(2**62), 2**62)),
        "c": TEXT,
        "b": st.one_of(st.none(), st.booleans()),
        "d": DATE,
    }
)
TYPES = {"x": pl.Float64, "n": pl.Int64, "c": pl.String, "b": pl.Boolean, "d": pl.Datetime("us")}


def table(rows):
    return pl.DataFrame(rows, schema=TYPES)


def fitted(frame, **options):
    return Encoder.fit(frame, infer_schema(frame), **{"ramps": 0, **options})


MIXED = table(
    [
        {
            "x": i * 0.5 if i % 5 else None,
            "n": i * i % 17,
            "c": "abc"[i % 3],
            "b": i % 2 == 0,
            "d": dt.datetime(2020, 1, 1 + i),
        }
        for i in range(20)
    ]
)


def test_the_matrix_of_a_small_table():
    frame = pl.DataFrame(
        {
            "x": [1.0, 3.0, None],
            "b": [True, None, False],
            "c": ["u", "v", None],
            "e": ["p", "q", "r"],
            "k": [1, 1, 1],
        }
    )
    encoder = fitted(frame, scaling="standard", embed_above=2)
    assert encoder.feature_names == ("x", "x: missing", "b", "b: missing", "c = u", "c = v", "e")
    assert (encoder.n_features, encoder.cardinalities) == (7, (4,))
    expected = [[-1, 0, 1, 0, 1, 0, 1], [1, 0, 0.5, 1, 0, 1, 2], [0, 1, 0, 0, 0, 0, 3]]
    x = encoder.transform(frame)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, expected, atol=1e-6)


def test_codes_come_last_whatever_the_order_of_the_columns():
    frame = pl.DataFrame({"e": ["p", "q", "r"], "x": [1.0, 2.0, 3.0]})
    assert fitted(frame, embed_above=2).feature_names == ("x", "e")
    assert fitted(frame, embed_above=3).cardinalities == ()


def test_unseen_and_missing_categories_are_zero():
    frame = pl.DataFrame({"c": ["u", "v"], "e": ["p", "q"]})
    new = pl.DataFrame({"c": ["w", None], "e": ["?", "z"]})
    assert fitted(frame).transform(new).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert fitted(frame, embed_above=1).transform(new).tolist() == [[0, 0], [0, 0]]


def test_only_the_fitted_rows_are_learnt_from():
    frame = pl.DataFrame({"c": ["u", "v", "w"], "x": [0.0, 2.0, 1e9]})
    encoder = Encoder.fit(frame.head(2), infer_schema(frame), scaling="standard", ramps=0)
    assert encoder.feature_names == ("c = u", "c = v", "x")
    np.testing.assert_allclose(encoder.transform(frame)[:, 2], [-1, 1, 5], atol=1e-6)


def test_the_parts_of_a_date_that_vary():
    frame = pl.DataFrame({"d": ["2024-01-01", "2024-02-01", "2024-03-01"]})
    encoder = fitted(frame, scaling="standard")
    assert encoder.feature_names == ("d: elapsed", "d: month", "d: weekday")
    days = np.array([0, 31, 60])
    np.testing.assert_allclose(encoder.transform(frame)[:, 0], (days - days.mean()) / days.std(), atol=1e-5)
    hours = pl.DataFrame({"d": ["2024-01-01 10:00", "2024-01-01 22:00"]})
    assert fitted(hours).feature_names == ("d: elapsed", "d: second")


def test_cells_mean_the_same_in_another_type():
    frame = pl.DataFrame(
        {
            "n": [1, 2, 4],
            "c": ["1", "2", "x"],
            "b": [True, False, True],
            "d": ["2024-01-01"] * 2 + ["2024-02-02"],
        }
    )
    encoder = fitted(frame)
    other = pl.DataFrame(
        {
            "d": [dt.date(2024, 1, 1), dt.date(2024, 1, 1), dt.date(2024, 2, 2)],
            "b": [1, 0, 1],
            "c": pl.Series(["1", "2", "x"], dtype=pl.Categorical),
            "n": [" 1", "2.0", "4"],
            "more": [0, 0, 0],
        }
    )
    np.testing.assert_array_equal(encoder.transform(other), encoder.transform(frame))
    floats = encoder.transform(frame.head(2).with_columns(c=pl.Series([1.0, 2.0])))
    np.testing.assert_array_equal(floats, encoder.transform(frame)[:2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: f.drop("x", "c"),
            r"^the table lacks the columns 'x', 'c', which the preprocessing needs$",
        ),
        (lambda f: f.drop("x"), r"^the table lacks the column 'x', which the preprocessing needs$"),
        (
            lambda f: f.with_columns(x=pl.lit("tall")),
            r"^column 'x' holds 'tall'; numbers are expected in it$",
        ),
        (lambda f: f.with_columns(b=pl.lit("tall")), r"^column 'b' holds 'tall'; true or false are expected"),
        (
            lambda f: f.with_columns(d=pl.lit(3.0)),
            r"^column 'd' is of type Float64; dates are expected in it$",
        ),
        (
            lambda f: f.with_columns(c=pl.lit([[1]])),
            r"^column 'c' is of type List\(.*; categories are expected",
        ),
    ],
)
def test_columns_that_do_not_fit(change, message):
    with pytest.raises(LaminaError, match=message):
        fitted(MIXED).transform(change(MIXED))


def test_words_among_numbers_are_missing_and_others_refused():
    frame = pl.DataFrame({"x": [*map(str, range(0, 40, 3)), "unknown"]})
    encoder = fitted(frame)
    assert encoder.transform(frame)[-1].tolist()[1] == 1
    with pytest.raises(LaminaError, match=r"^column 'x' holds 'none'; numbers"):
        encoder.transform(pl.DataFrame({"x": ["none"]}))


def test_bad_options():
    with pytest.raises(LaminaError, match=r"^scaling 'quantil' is not known; the closest are: quantile, standard$"):
        fitted(MIXED, scaling="quantil")
    with pytest.raises(
        LaminaError, match=r"^no column is left to learn from; columns left out: 'k' \(every cell is 1\)$"
    ):
        fitted(pl.DataFrame({"k": [1, 1]}))


def test_no_rows_are_no_rows():
    assert fitted(MIXED).transform(MIXED.head(0)).shape == (0, fitted(MIXED).n_features)


@pytest.mark.parametrize("scaling", ["quantile", "standard"])
@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(ROW, min_size=1, max_size=12),
    new=st.lists(ROW, min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_any_frame_is_finite_row_by_row_and_survives_storage(scaling, train, new, seed):
    frame, other = table(train), table(new)
    schema = infer_schema(frame)
    if not schema.used:
        return
    encoder = Encoder.fit(frame, schema, scaling=scaling, embed_above=2)
    x = encoder.transform(other)
    assert np.isfinite(x).all()
    assert x.shape == (len(new), encoder.n_features)
    for i in range(len(new)):
        np.testing.assert_array_equal(encoder.transform(other[i]), x[i : i + 1])

    stored = Encoder.from_parts(json.loads(json.dumps(encoder.to_dict())), encoder.arrays())
    np.testing.assert_array_equal(stored.transform(other), x)
    assert (stored.feature_names, stored.cardinalities) == (encoder.feature_names, encoder.cardinalities)

    order = np.random.default_rng(seed).permutation(len(train))
    again = Encoder.fit(frame[order], schema, scaling=scaling, embed_above=2)
    np.testing.assert_allclose(again.transform(other), x, atol=1e-6)
    if encoder.cardinalities:
        codes = x[:, -len(encoder.cardinalities) :]
        assert (codes == codes.round()).all()
        assert (codes < np.array(encoder.cardinalities)).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda facts, arrays: arrays.pop("fill"),
        lambda facts, arrays: arrays.update(knots=arrays["knots"][:-1]),
        lambda facts, arrays: arrays.update(heights=np.full_like(arrays["heights"], np.nan)),
        lambda facts, arrays: facts["blocks"].pop(0),
        lambda facts, arrays: facts["blocks"].append(facts["blocks"][0]),
        lambda facts, arrays: facts["blocks"][0].pop("column"),
        lambda facts, arrays: facts["blocks"][0]["column"].update(strange=1),
        lambda facts, arrays: facts.update(blocks=[3]),
    ],
)
def test_damaged_storage_is_refused(damage):
    facts, arrays = fitted(MIXED).to_dict(), fitted(MIXED).arrays()
    damage(facts, arrays)
    with pytest.raises(LaminaError, match=r"^the stored preprocessing is damaged: "):
        Encoder.from_parts(facts, arrays)


def test_ordinal_keeps_numbers_and_codes_categories():
    frame = pl.DataFrame({"x": [1.5, None, math.inf], "c": ["v", "u", None], "b": [True, None, False], "k": [1, 1, 1]})
    schema = infer_schema(frame)
    matrix, is_code = ordinal(frame, schema)
    nan = np.nan
    np.testing.assert_array_equal(matrix, [[1.5, 1, 1], [nan, 0, nan], [nan, nan, 0]])
    assert is_code.tolist() == [False, True, False]
    new, _ = ordinal(frame.with_columns(c=pl.lit("new")), schema)
    assert np.isnan(new[:, 1]).all()


def test_ramps_follow_the_scaled_value_and_rise_between_quantiles():
    frame = pl.DataFrame({"x": np.linspace(0.0, 4.0, 101)})
    encoder = fitted(frame, ramps=4)
    assert encoder.feature_names == ("x", "x from 0 to 1", "x from 1 to 2", "x from 2 to 3", "x from 3 to 4")
    x = encoder.transform(pl.DataFrame({"x": [-1.0, 0.25, 2.0, 3.5, 9.0]}))
    expected = [[0, 0, 0, 0], [0.25, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0.5], [1, 1, 1, 1]]
    np.testing.assert_allclose(x[:, 1:], expected, atol=1e-6)


def test_the_ramps_of_a_table_share_a_total():
    frame = pl.DataFrame({f"x{i}": np.random.default_rng(i).normal(size=300) for i in range(10)})
    assert fitted(frame, ramps=128).n_features == 10 + 10 * 12
    assert fitted(frame, ramps=29).n_features == 10
    few = pl.DataFrame({"x": np.arange(300) % 2, "y": np.random.default_rng(0).normal(size=300)})
    assert fitted(few, ramps=8).feature_names[0] == "x"
    assert fitted(few, ramps=8).n_features == 2 + 4
