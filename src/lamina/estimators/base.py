"""What a classifier and a regressor have in common: preparing, training and asking the members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from lamina import networks
from lamina.data.encoder import Encoder, ramps_for
from lamina.data.schema import Schema
from lamina.errors import LaminaError, unknown
from lamina.estimators.inputs import as_frame, schema_of
from lamina.estimators.rows import Rows, gather
from lamina.layers.arguments import positive, whole, within
from lamina.networks.factory import known_options
from lamina.training import (
    Fleet,
    Head,
    Member,
    Optimiser,
    Recipe,
    Setting,
    Trace,
    choose_device,
    make_optimiser,
    train,
)


class NetworkEstimator(BaseEstimator):
    """The abstract base of `NetworkClassifier` and `NetworkRegressor`, which say what its parameters mean."""

    schema_: Schema
    encoder_: Encoder
    head_: Head
    fleet_: Fleet
    n_iter_: int
    loss_curve_: list[float]
    validation_curve_: list[float]

    def __init__(
        self,
        network: str | type[nn.Module] = "mlp",
        *,
        params: int = 20_000,
        options: dict[str, Any] | None = None,
        learning_rate: float = Setting.learning_rate,
        weight_decay: float = Setting.weight_decay,
        dropout: float = Setting.dropout,
        members: int = 3,
        steps: int | None = None,
        batch_size: int | None = None,
        early_stopping: bool = True,
        scaling: str = "quantile",
        device: str = "auto",
        precision: str = "float32",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.network = network
        self.params = params
        self.options = options
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.members = members
        self.steps = steps
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.scaling = scaling
        self.device = device
        self.precision = precision
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        return tags

    @property
    def module_(self) -> nn.Module:
        """The first member as an ordinary module, on the CPU, in eval mode.

        It maps what ``encoder_.transform`` makes of a polars frame to logits, or to standardised values.
        """
        check_is_fitted(self)
        return self.fleet_.module(0)

    def _check_parameters(self) -> None:
        """Refuse what is no possible value, by name; names of networks, options and devices are checked in use."""
        whole(params=self.params, members=self.members)
        whole(**{n: v for n in ("steps", "batch_size") if (v := getattr(self, n)) is not None})
        positive(learning_rate=self.learning_rate)
        within(0, np.inf, weight_decay=self.weight_decay)
        within(0, 0.99, dropout=self.dropout)
        if not isinstance(self.early_stopping, (bool, np.bool_)):
            raise LaminaError(f"early_stopping={self.early_stopping!r}: early_stopping has to be True or False")
        if self.options is not None and not isinstance(self.options, dict):
            raise LaminaError(f"options={self.options!r}: options has to be a dict of the network's options, or None")

    @property
    def _setting(self) -> Setting:
        return Setting(self.learning_rate, self.weight_decay, self.dropout)

    def _gather(self, frame: pl.DataFrame, y: np.ndarray, weight: np.ndarray) -> Rows:
        return gather(frame.select(column.name for column in self.schema_.used), y, weight)

    def _start(self, X: Any, frame: pl.DataFrame, y: np.ndarray, weight: np.ndarray, classes: int) -> Rows:
        """Fit the preprocessing and build the members; returns the rows to train on."""
        self.schema_ = schema_of(X, frame)
        rows = self._gather(frame, y, weight)
        self.encoder_ = Encoder.fit(rows.frame, self.schema_, scaling=self.scaling, ramps=ramps_for(self.params))
        self.head_ = Head.fit(rows.y, classes)
        seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=self.members)
        self._seeds = [int(seed) for seed in seeds]
        self.fleet_ = Fleet(self._build())
        self._optimiser: Optimiser | None = None
        self.n_iter_, self.loss_curve_, self.validation_curve_ = 0, [], []
        return rows

    def _build(self) -> list[nn.Module]:
        options, known = self.options or {}, known_options(self.network)
        for name in options.keys() - known:
            raise unknown(f"option of {self.network!r}", name, known)
        shape = {
            "in_features": self.encoder_.n_features,
            "out_features": self.head_.outputs,
            "categories": self.encoder_.cardinalities,
            **options,
        }
        sizes = networks.sizes_for(self.network, params=self.params, **shape)
        return [
            networks.create(self.network, **shape, **sizes, dropout=self.dropout, seed=seed) for seed in self._seeds
        ]

    def _train(self, rows: Rows, members: Sequence[Member], recipe: Recipe, optimiser: Optimiser | None) -> list[Trace]:
        """Train the fleet on its device, then leave it on the CPU, where it can be stored and read anywhere."""
        device = choose_device(self.device)
        traces = train(
            self.fleet_.to(device),
            members,
            torch.from_numpy(self.encoder_.transform(rows.frame)),
            torch.from_numpy(self.head_.encode(rows.y)),
            weight=torch.from_numpy(rows.weight.astype(np.float32)) if rows.weighted else None,
            recipe=recipe,
            seed=members[0].seed,
            optimiser=optimiser and optimiser.to(device),
        )
        cpu = torch.device("cpu")
        self.fleet_.to(cpu)
        self._optimiser = optimiser and optimiser.to(cpu)
        return traces

    def _fit(self, rows: Rows, kind: str) -> None:
        """Train to the end, or until the validation parts say so."""
        recipe = Recipe(steps=self.steps, batch_size=self.batch_size, precision=self.precision)
        if self.early_stopping and rows.can_be_split:
            parts = [rows.split(seed, kind) for seed in self._seeds]
        else:
            parts = [(np.arange(len(rows)), np.empty(0, dtype=np.int64))] * len(self._seeds)
        members = [Member(self._setting, seed, *part) for seed, part in zip(self._seeds, parts, strict=True)]
        traces = self._train(rows, members, recipe, None)
        sound = [i for i, trace in enumerate(traces) if trace.best >= 0]
        self._refuse_diverged(bool(sound))
        self.fleet_ = self.fleet_.select(sound)
        self._seeds = [self._seeds[i] for i in sound]
        kept = [traces[i] for i in sound]
        self.n_iter_ = max(trace.steps for trace in kept)
        self.loss_curve_ = _mean([trace.train for trace in kept])
        self.validation_curve_ = _mean([trace.validation for trace in kept])

    def _pass_over(self, rows: Rows) -> None:
        """Train for one pass at a constant learning rate, with the moments of the passes before.

        Where the batches would not come out even, fewer rows than there are batches are left out, drawn at random.
        """
        recipe = Recipe(batch_size=self.batch_size)
        steps = -(-len(rows) // recipe.batch_for(len(rows)))
        recipe = Recipe(
            steps=steps,
            batch_size=len(rows) // steps,
            schedule="constant",
            warmup=0.0,
            averaging=0.0,
            checks=1,
            precision=self.precision,
        )
        seen = self.n_iter_
        members = [Member(self._setting, seed + seen, np.arange(len(rows))) for seed in self._seeds]
        optimiser = self._optimiser or make_optimiser(
            recipe.optimiser,
            self.fleet_.parameters,
            self.weight_decay * self.fleet_.decayed(),
            self.fleet_.shapes,
        )
        traces = self._train(rows, members, recipe, optimiser)
        sound = not any(trace.diverged for trace in traces)
        if not sound:
            self._optimiser = None
        self._refuse_diverged(sound)
        self.n_iter_ += steps
        self.loss_curve_ = [*self.loss_curve_, *_mean([trace.train for trace in traces])]

    def _refuse_diverged(self, sound: bool) -> None:
        if not sound:
            raise LaminaError(
                f"the training of {self.network!r} diverged with learning_rate={self.learning_rate!r}; try a lower one"
            )

    def _ask(self, X: Any) -> np.ndarray:
        """The mean of the members' predictions: (rows, classes) probabilities or (rows,) values.

        They are computed in float64, so that a row's prediction does not depend on the rows beside it.
        """
        check_is_fitted(self)
        frame = as_frame(self, X, reset=False)
        x = torch.from_numpy(self.encoder_.transform(frame)).double()
        return self.head_.decode(_double(self.fleet_).predict(x)).mean(0)


def widened(head: Head, y: np.ndarray) -> Head:
    """The head of a regression with its range extended to the targets `y`."""
    return replace(head, low=min(head.low, float(y.min())), high=max(head.high, float(y.max())))


def _double(fleet: Fleet) -> Fleet:
    exact = fleet.select(range(len(fleet)))
    exact.parameters = fleet.parameters.double()
    exact.buffers = {n: b.double() if b.is_floating_point() else b for n, b in fleet.buffers.items()}
    return exact


def _mean(curves: Sequence[Sequence[float]]) -> list[float]:
    """The mean curve; where some have ended, of those that go on."""
    longest = max(map(len, curves))
    return [float(np.mean([c[i] for c in curves if i < len(c)])) for i in range(longest)]
