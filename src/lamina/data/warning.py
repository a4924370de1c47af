"""What makes a comparison on a table worth less than it looks."""

from __future__ import annotations

import numpy as np
import polars as pl

from lamina.data.encoder import ordinal
from lamina.data.schema import Schema
from lamina.data.target import Target


def warnings_for(
    features: pl.DataFrame, schema: Schema, target: Target, y: np.ndarray, *, dropped: int
) -> tuple[str, ...]:
    """Sentences for the report.

    Args:
        features, schema, target, y: as in `lamina.data.task.Task`.
        dropped: the number of rows without a target.
    """
    return ()
