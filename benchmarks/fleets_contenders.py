"""The ways to train a job's networks that `fleets.py` measures against each other.

Each trains the networks, times that alone (not their construction, not their judgement), and returns a `Run`. The
number of PyTorch's threads is whatever the caller has set.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from fleets_jobs import LEARNING_RATE, Job, Table, linear_sizes
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.utils.parallel import Parallel, delayed
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import lamina
from lamina.training import Member, Recipe, Setting

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Run:
    """One timing: wall seconds, and the test accuracy of every network that was trained in them."""

    seconds: float
    accuracies: list[float]

    @property
    def per_network(self) -> float:
        """Seconds per network, so that a peer may be measured on some of a fleet's networks."""
        return self.seconds / len(self.accuracies)


def recipe(job: Job, steps: int) -> Recipe:
    """Plain Adam: a constant learning rate, no clipping, no averaging, no look at the losses before the end."""
    return Recipe(
        steps=steps,
        batch_size=job.batch,
        optimiser="adam",
        schedule="constant",
        warmup=0.0,
        clip=None,
        averaging=0.0,
        checks=1,
    )


def members_of(job: Job, judged: int = 0) -> list[Member]:
    """The members of the job's fleet; the last `judged` rows choose their stopping points, the others are learnt."""
    setting = Setting(learning_rate=LEARNING_RATE, weight_decay=0.0, dropout=0.0)
    learn, judge = np.split(np.arange(len(job.table.x)), [len(job.table.x) - judged])
    return [Member(setting, seed, learn, judge) for seed in range(job.members)]


def fleet(job: Job, steps: int | None = None) -> Run:
    """All networks at once by `lamina.fit`, set-up included; `steps` instead of the job's epochs, if given."""
    networks, table, members = job.networks(), job.table, members_of(job)
    asked = recipe(job, job.epochs * job.epoch_steps if steps is None else steps)
    start = time.perf_counter()
    fitted = lamina.fit(networks, table.x, table.y, members=members, recipe=asked)
    seconds = time.perf_counter() - start
    return Run(seconds, table.accuracy(fitted.fleet.predict(table.test_x).argmax(-1)))


@dataclass(frozen=True)
class Permuted:
    """Batches of tensors, in a new order every time they are gone through; rows that fill no batch are left out."""

    table: Table
    batch: int
    generator: torch.Generator

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.table.x), generator=self.generator)
        for rows in order[: len(order) // self.batch * self.batch].split(self.batch):
            yield self.table.x[rows], self.table.y[rows]


def loaded(table: Table, batch: int, generator: torch.Generator) -> Batches:
    """The same batches from a `DataLoader` in this process."""
    data = TensorDataset(table.x, table.y)
    return DataLoader(data, batch_size=batch, shuffle=True, drop_last=True, num_workers=0, generator=generator)


def train_one(network: nn.Module, batches: Batches, epochs: int, *, fused: bool | None = None) -> None:
    """The plain training loop that everybody writes; ``fused=None`` is what `torch.optim.Adam` takes by itself."""
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=fused)
    for _ in range(epochs):
        for x, y in batches:
            optimiser.zero_grad()
            F.cross_entropy(network(x), y).backward()
            optimiser.step()


def loop(
    job: Job,
    members: int | None = None,
    feed: Callable[[Table, int, torch.Generator], Batches] = Permuted,
    *,
    fused: bool | None = None,
) -> Run:
    """One network after another in plain PyTorch, the first `members` of the job or all of them."""
    networks, table = job.networks(members), job.table
    start = time.perf_counter()
    for seed, network in enumerate(networks):
        batches = feed(table, job.batch, torch.Generator().manual_seed(seed))
        train_one(network, batches, job.epochs, fused=fused)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        classes = torch.stack([network.eval()(table.test_x).argmax(-1) for network in networks])
    return Run(seconds, table.accuracy(classes))


def sklearn_mlps(job: Job) -> Run:
    """scikit-learn's MLPs of the same hidden sizes in two processes of one thread each.

    Its solver, its initialisation and its last batch of an epoch, which may be a small one, are its own. It has no
    penalty here and does not stop early. The pool is joblib's and stays, so only the first call starts it.
    """
    table, x, y = job.table, job.table.x.numpy(), job.table.y.numpy()
    hidden = tuple(outputs for _, outputs in linear_sizes(job.make(0))[:-1])
    make = partial(
        MLPClassifier,
        hidden_layer_sizes=hidden,
        alpha=0.0,
        batch_size=job.batch,  # pyright: ignore[reportArgumentType]
        max_iter=job.epochs,
        n_iter_no_change=job.epochs,
        learning_rate_init=LEARNING_RATE,
    )
    networks = [make(random_state=seed) for seed in range(job.members)]
    with warnings.catch_warnings(), parallel_config(backend="loky", inner_max_num_threads=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        trained: Any = Parallel(n_jobs=2)(delayed(network.fit)(x, y) for network in networks)
        seconds = time.perf_counter() - start
    classes = np.stack([network.predict(table.test_x.numpy()) for network in trained])
    return Run(seconds, table.accuracy(torch.from_numpy(classes)))
