"""Every real table becomes a task of the kind that people who know it say it is."""

import json
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lamina.data.encoder import Encoder, ordinal
from lamina.data.reading import read_table
from lamina.data.schema import infer_schema
from lamina.data.splits import inner_split, outer_splits
from lamina.data.task import make_task

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
TABLES = json.loads((DATA / "tables.json").read_text()) if (DATA / "tables.json").is_file() else []


@pytest.mark.skipif(not TABLES, reason="the shared data are not here")
@pytest.mark.parametrize("facts", TABLES, ids=lambda t: t["name"])
def test_a_real_table(facts):
    task = make_task(DATA / facts["file"], facts["target"], ignore=facts["ignore"])
    assert task.kind == facts["task"]
    assert task.rows == facts["rows"]
    if "class_counts" in facts:
        counts = {str(c): int(n) for c, n in zip(task.target.classes, np.bincount(task.y), strict=True)}
        assert counts == facts["class_counts"]
    else:
        assert task.y.mean() == pytest.approx(facts["target_stats"]["mean"], rel=1e-4)

    split = outer_splits(task, 1)[0]
    fit, validation = inner_split(task.y, split.train, 0, task.kind)
    assert len(split.test) + len(fit) + len(validation) == task.rows
    encoder = Encoder.fit(task.features[fit], task.schema)
    x = encoder.transform(task.features)
    assert np.isfinite(x).all()
    assert np.abs(x[:, : x.shape[1] - len(encoder.cardinalities)]).max() <= 3
    raw, _ = ordinal(task.features, task.schema)
    assert np.isfinite(raw).any(axis=0).all()


def test_a_large_table_is_ready_in_seconds(tmp_path):
    rng, n = np.random.default_rng(0), 50_000
    numbers = {f"x{i}": rng.normal(size=n) for i in range(35)}
    values = {f"c{i}": np.array([f"v{k}" for k in range(3 + 9 * i)])[rng.integers(0, 3 + 9 * i, n)] for i in range(13)}
    dates = {f"d{i}": np.datetime64("2020-01-01") + rng.integers(0, 900, n).astype("timedelta64[D]") for i in range(2)}
    pl.DataFrame({**numbers, **values, **dates}).write_csv(tmp_path / "large.csv")
    start = time.process_time()
    frame = read_table(tmp_path / "large.csv")
    schema = infer_schema(frame)
    x = Encoder.fit(frame, schema).transform(frame)
    assert x.shape[0] == n
    assert len(schema.used) == 50
    assert time.process_time() - start < 15  # seconds of CPU; about two on one core of 2023
