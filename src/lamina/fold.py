"""One split of a task as matrices: what every contender, network or rival, is given alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lamina.data.encoder import Encoder, ordinal, ramps_for
from lamina.data.splits import Split, inner_split
from lamina.data.task import Task
from lamina.training import Head


@dataclass(frozen=True)
class Fold:
    """A split, its preprocessing and its inner validation parts.

    The preprocessing sees the training part of the split alone. Each seed has its own inner validation part.

    Attributes:
        task, split: what is learnt, and from which rows.
        seeds: how many inner validation parts there are.
        params: the budget of parameters, on which the number of ramps depends (`lamina.data.encoder.ramps_for`).
    """

    task: Task
    split: Split
    seeds: int
    params: int

    @cached_property
    def encoder(self) -> Encoder:
        """The preprocessing, fitted on the training part."""
        return Encoder.fit(self.task.features[self.split.train], self.task.schema, ramps=ramps_for(self.params))

    @cached_property
    def x(self) -> np.ndarray:
        """(rows, features) float32 of all rows, encoded."""
        return self.encoder.transform(self.task.features)

    @cached_property
    def dense(self) -> np.ndarray:
        """(rows, features) of scaled numbers and one-hot categories, for models that have no embeddings."""
        plain = Encoder.fit(self.task.features[self.split.train], self.task.schema, ramps=0)
        x, codes = plain.transform(self.task.features), len(plain.cardinalities)
        numbers, indices = np.split(x, [x.shape[1] - codes], axis=1)
        hot = [np.eye(n, dtype=np.float32)[indices[:, i].astype(int)] for i, n in enumerate(plain.cardinalities)]
        return np.concatenate([numbers, *hot], axis=1)

    @cached_property
    def raw(self) -> tuple[np.ndarray, np.ndarray]:
        """For trees: (rows, columns) raw numbers and category codes with NaN for missing, and which are categories."""
        return ordinal(self.task.features, self.task.schema)

    @cached_property
    def head(self) -> Head:
        """How predictions are scaled, from the training part's targets."""
        return Head.fit(self.task.y[self.split.train], len(self.task.target.classes))

    @cached_property
    def inner(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each seed, the rows to learn from and the rows to validate on."""
        return [inner_split(self.task.y, self.split.train, s, self.task.target.kind) for s in range(self.seeds)]
