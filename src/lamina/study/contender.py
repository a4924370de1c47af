"""Contenders: networks and rivals under one protocol, judged by the same code."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from lamina import networks
from lamina.fold import Fold
from lamina.model import Blueprint, left_of, train_members
from lamina.study.question import COMPILE, Question
from lamina.study.store import Outcome, Trial
from lamina.training import Recipe, Trace, draw_settings

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Attempt:
    """What a contender made of a fold, before anything is judged.

    Attributes:
        settings: what was tried.
        losses: (settings, seeds) validation losses; infinite where a training diverged.
        predict: for the number of a setting, the predictions of its seeds for some rows, (seeds, rows, ...).
        traces: [setting][seed], of networks.
    """

    settings: list[dict]
    losses: np.ndarray
    predict: Callable[[int, np.ndarray], np.ndarray]
    seconds: float
    traces: list[list[Trace]] = field(default_factory=list)
    params: int | None = None
    flops: int | None = None


class Contender(Protocol):
    """Anything that can be compared."""

    def attempt(self, fold: Fold, question: Question, deadline: float, progress: Progress) -> Attempt:
        """Train on the fold's training part with every setting and seed."""
        ...


@dataclass(frozen=True)
class NetworkContender:
    """A network of the catalogue, all its settings and seeds trained as one fleet."""

    name: str
    device: str = "auto"
    memory: int | None = None

    def attempt(self, fold: Fold, question: Question, deadline: float, progress: Progress) -> Attempt:
        """Train settings x seeds members on the fold; see `Contender`."""
        settings = draw_settings(question.settings)
        blueprint = Blueprint.sized(self.name, fold.encoder, fold.head, question.params)
        start = time.perf_counter()
        fleet, traces = train_members(
            fold,
            blueprint,
            settings,
            recipe=Recipe(
                steps=question.steps or None,
                racing=question.racing,
                compile=COMPILE[question.compile],
            ),
            device=self.device,
            memory=None if self.memory is None else left_of(self.memory, fold),
            deadline=deadline,
            progress=lambda done, planned: progress(done / planned),
        )
        seconds = time.perf_counter() - start

        def predict(setting: int, rows: np.ndarray) -> np.ndarray:
            chosen = fleet.select(range(setting * fold.seeds, (setting + 1) * fold.seeds))
            return fold.head.decode(chosen.predict(torch.from_numpy(fold.x[rows]).to(chosen.device)))

        return Attempt(
            settings=[s.to_dict() for s in settings],
            losses=np.array([t.loss for t in traces]).reshape(len(settings), fold.seeds),
            predict=predict,
            seconds=seconds,
            traces=[traces[i : i + fold.seeds] for i in range(0, len(traces), fold.seeds)],
            params=fleet.parameters.shape[1],
            flops=networks.flops(blueprint.build(), blueprint.in_features),
        )


def judge_attempt(fold: Fold, attempt: Attempt) -> Outcome:
    """Choose the setting by the mean validation loss over the seeds, then score it on the test part, once.

    A chosen training that diverged before its first look counts as the constant prediction.
    """
    y, test = fold.task.y, fold.split.test
    means = attempt.losses.mean(1)
    chosen = int(np.where(np.isfinite(means), means, np.inf).argmin())
    predictions = attempt.predict(chosen, test)
    lost = ~np.isfinite(attempt.losses[chosen])
    predictions[lost] = constant_prediction(fold, test)
    scores = [fold.task.metric(y[test], p) for p in predictions]
    seconds = attempt.seconds / attempt.losses.size
    trials = []
    for (setting, seed), loss in np.ndenumerate(attempt.losses):
        trace = attempt.traces[setting][seed] if attempt.traces else Trace(diverged=not np.isfinite(loss))
        trials.append(
            Trial(
                setting=setting,
                seed=seed,
                validation=float(loss) if np.isfinite(loss) else None,
                score=scores[seed] if setting == chosen else None,
                seconds=seconds,
                diverged=trace.diverged,
                curve={"train": _plain(trace.train), "validation": _plain(trace.validation)},
            )
        )
    ensemble = fold.task.metric(y[test], predictions.mean(0))
    return Outcome(attempt.settings, chosen, ensemble, trials, attempt.params, attempt.flops)


def constant_prediction(fold: Fold, rows: np.ndarray) -> np.ndarray:
    """The training part's class frequencies, or its mean, for each of the rows."""
    y = fold.task.y[fold.split.train]
    if fold.head.classes:
        return np.tile(np.bincount(y, minlength=fold.head.classes) / len(y), (len(rows), 1))
    return np.full(len(rows), y.mean())


def _plain(losses: Sequence[float]) -> list[float]:
    return [float(f"{v:.5g}") if np.isfinite(v) else 1e30 for v in losses]
