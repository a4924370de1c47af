"""The contract of a rival, and the one way in which all rivals are trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import qmc

from lamina.fold import Fold
from lamina.study.contender import Attempt, Progress
from lamina.study.question import Question
from lamina.training import OutOfTime

Predictor = Callable[[np.ndarray], np.ndarray]


class Rival(Protocol):
    """A model that is not a network of the catalogue.

    Attributes:
        requires: the package that it needs.
        summary, paper: what it is and where it comes from.
    """

    requires: str
    summary: str
    paper: str

    def settings(self, n: int) -> list[dict]:
        """At most `n` settings, the defaults first."""
        ...

    def fit(self, fold: Fold, setting: dict, seed: int, params: int) -> Predictor:
        """Train on the seed's inner training part, stop by its validation part where the model stops early.

        Returns:
            A function from row numbers to class probabilities (rows, classes) or values (rows,).
        """
        ...


@dataclass(frozen=True)
class RivalContender:
    """A rival under the protocol of the networks: same splits, same inner parts, same number of settings."""

    rival: Rival

    def attempt(self, fold: Fold, question: Question, deadline: float, progress: Progress) -> Attempt:
        """Fit settings x seeds models on the fold; see `lamina.study.contender.Contender`."""
        settings = self.rival.settings(question.settings)
        losses = np.full((len(settings), fold.seeds), np.inf)
        predictors: dict[tuple[int, ...], Predictor] = {}
        start, longest = time.perf_counter(), 0.0
        for done, at in enumerate(np.ndindex(losses.shape)):
            began = time.monotonic()
            if began + longest > deadline:
                raise OutOfTime
            progress(done / losses.size)
            setting, seed = at
            predictors[at] = self.rival.fit(fold, settings[setting], seed, question.params)
            validation = fold.inner[seed][1]
            losses[at] = fold.head.loss(fold.task.y[validation], predictors[at](validation))
            longest = max(longest, time.monotonic() - began)
        seconds = time.perf_counter() - start

        def predict(setting: int, rows: np.ndarray) -> np.ndarray:
            return np.stack([predictors[setting, seed](rows) for seed in range(fold.seeds)])

        return Attempt(settings, losses, predict, seconds)


def halton(n: int, dimensions: int) -> np.ndarray:
    """(n, dimensions) points that fill the unit cube evenly, the same on every call."""
    return qmc.Halton(dimensions, scramble=True, rng=np.random.default_rng(20)).random(n)


def full_probabilities(probabilities: np.ndarray, seen: np.ndarray, classes: int) -> np.ndarray:
    """Probabilities over all classes from a classifier that has `seen` only some of them."""
    full = np.zeros((len(probabilities), classes))
    full[:, np.asarray(seen, dtype=int)] = probabilities
    return full
