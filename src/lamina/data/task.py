"""A task: data, its schema, the target and a metric."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lamina.data.caution import cautions
from lamina.data.encoder import ordinal
from lamina.data.feynman import PREFIX
from lamina.data.reading import named, read_table
from lamina.data.schema import Schema, infer_schema
from lamina.data.splits import FOLDS
from lamina.data.target import Target, infer_target, target_values
from lamina.errors import LaminaError, closest
from lamina.metrics import Metric, metric_for

LARGEST = 1e100
"""Beyond this, squares of targets overflow."""
LEAST_ROWS = 10
"""Below this, five folds have test parts of a single row."""


@dataclass(frozen=True)
class Task:
    """What a study is about.

    Attributes:
        name: of the data, for titles and file names.
        features: the table without the target, the ignored columns and the rows whose target is missing.
        schema: what each column is and what is done with it.
        target: its kind and its classes.
        y: (rows,) class codes int64 or values float64.
        metric: what the networks are compared by.
        warnings: what makes a comparison on these data worth less than it looks, in sentences.
        fingerprint: a hash of the columns that are used and of the target; the same data have the same one.
    """

    name: str
    features: pl.DataFrame
    schema: Schema
    target: Target
    y: np.ndarray
    metric: Metric
    warnings: tuple[str, ...]
    fingerprint: str

    @property
    def kind(self) -> str:
        """``binary``, ``multiclass`` or ``regression``."""
        return self.target.kind

    @property
    def rows(self) -> int:
        """The number of rows that have a target."""
        return len(self.y)


def make_task(
    source: Any,
    target: str | None = None,
    *,
    ignore: Sequence[str] = (),
    metric: str | None = None,
    task: str | None = None,
    name: str | None = None,
) -> Task:
    """Read a table and make a task of it.

    Args:
        source: a file, the name of a data set or of a formula, or a frame; see `lamina.data.reading.read_table`.
        target: the column to predict; bundled data sets and formulas know theirs.
        ignore: columns to leave out.
        metric: its name; by default that of the kind of task.
        task: ``binary``, ``multiclass`` or ``regression``; found from the target by default.
        name: what to call the data; by default the name of the file or the data set.

    Raises:
        LaminaError: the table cannot be read, a column is not there, the target cannot be learnt, or no
            column or too few rows are left.
    """
    frame = read_table(source)
    target = _target_column(frame, source, target)
    ignore = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    _require_columns(frame, ignore)
    present = target_values(frame[target], task).is_not_null()
    found = infer_target(frame[target], target, task)
    kept = frame.filter(present)
    if kept.height < LEAST_ROWS:
        raise LaminaError(f"the table has {kept.height} rows with a target; at least {LEAST_ROWS} are needed")
    features = kept.drop({target, *ignore})
    schema = infer_schema(features)
    if not schema.used:
        why = schema.left_out or "the table has no other"
        raise LaminaError(f"no column is left to predict {target!r} from; {why}")
    y = found.encode(kept[target])
    if found.kind == "regression" and np.abs(y).max() > LARGEST:
        raise LaminaError(
            f"the target {target!r} has values up to {np.abs(y).max():.3g}; scale it to below {LARGEST:.0e}"
        )
    judged, notes = _metric(found, y, metric)
    return Task(
        name=name or _name(source),
        features=features,
        schema=schema,
        target=found,
        y=y,
        metric=judged,
        warnings=(*notes, *cautions(features, schema, found, y, dropped=frame.height - kept.height)),
        fingerprint=_fingerprint(features, schema, found, y),
    )


def _metric(target: Target, y: np.ndarray, name: str | None) -> tuple[Metric, list[str]]:
    """The metric, and what is to be said of it: some have no score on a test part that lacks a class."""
    metric = metric_for(target.kind, name)
    rarest = np.bincount(y).min() if target.classes else FOLDS
    if not metric.every_class or rarest >= FOLDS:
        return metric, []
    label = target.classes[int(np.bincount(y).argmin())]
    why = f"the class {label!r} has {rarest} rows, and {metric.name} needs one in each of {FOLDS} test parts"
    if name is not None:
        raise LaminaError(f"{why}; use log_loss or balanced_accuracy, or gather more rows of that class")
    return metric_for(target.kind, "log_loss"), [f"the metric is log_loss: {why}"]


def _target_column(frame: pl.DataFrame, source: Any, target: str | None) -> str:
    if target is None and (known := named(source)):
        return known.target
    if target is None:
        columns = ", ".join(frame.columns[:20]) + (" ..." if frame.width > 20 else "")
        last = frame.columns[-1]
        raise LaminaError(f"name the target column; the columns are: {columns}; perhaps it is the last, {last!r}")
    _require_columns(frame, [target])
    return target


def _require_columns(frame: pl.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in frame.columns:
            near = ", ".join(closest(name, frame.columns))
            raise LaminaError(f"the table has no column {name!r}; the closest are: {near}")


def _name(source: Any) -> str:
    if not isinstance(source, (str, Path)):
        return "table"
    if str(source).startswith(PREFIX):
        return str(source).replace(":", "-")
    return Path(source).name.split(".")[0].encode("utf-8", "replace").decode()


def _fingerprint(features: pl.DataFrame, schema: Schema, target: Target, y: np.ndarray) -> str:
    digest = hashlib.sha256()
    digest.update(repr((target, [(c.name, c.kind, c.categories) for c in schema.used])).encode())
    digest.update(y.tobytes())
    digest.update(ordinal(features, schema)[0].tobytes())
    return digest.hexdigest()[:16]
