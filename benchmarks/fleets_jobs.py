"""What `fleets.py` trains: tables, networks and the numbers of a training, the same for every contender."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from sklearn.datasets import load_digits, make_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import lamina
from lamina.networks import Dropout

LEARNING_RATE = 1e-3
SPLIT_SEED = 0
TABLE_SEED = 0


@dataclass(frozen=True)
class Table:
    """Rows to learn from and rows to be judged on: `x` (rows, features) float32, `y` (rows,) class codes.

    Features have mean 0 and variance 1 over the training rows.
    """

    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor

    @property
    def classes(self) -> int:
        """The number of classes."""
        return int(self.y.max()) + 1

    def accuracy(self, classes: Tensor) -> list[float]:
        """The share of right ones among the predicted `classes`, (members, test rows), for every member."""
        return (classes == self.test_y).double().mean(1).tolist()


@dataclass(frozen=True)
class Job:
    """A fleet to be trained: `members` networks that differ in their seed, 0 to members - 1.

    Every network takes `epochs` passes of ``rows // batch`` steps, in an order of its own, under Adam at a learning
    rate of 1e-3, with no weight decay and no schedule. `make` builds the network of a seed.
    """

    table: Table
    make: Callable[[int], nn.Module]
    members: int
    batch: int
    epochs: int

    @property
    def epoch_steps(self) -> int:
        """Steps of one pass; the rows that fill no whole batch are left out."""
        return len(self.table.x) // self.batch

    def networks(self, members: int | None = None) -> list[nn.Module]:
        """The first networks of the job, freshly initialised; all of them by default."""
        return [self.make(seed) for seed in range(self.members if members is None else members)]


def _table(x: object, y: object, test_rows: int) -> Table:
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=test_rows, stratify=y, random_state=SPLIT_SEED)
    scaler = StandardScaler().fit(train_x)
    features = (torch.from_numpy(scaler.transform(part)).float() for part in (train_x, test_x))
    return Table(next(features), torch.from_numpy(train_y), next(features), torch.from_numpy(test_y))


@cache
def digits() -> Table:
    """scikit-learn's digits, 1,437 rows to learn from and 360 to be judged on, 64 columns, 10 classes."""
    return _table(*load_digits(return_X_y=True), test_rows=360)


@cache
def binary() -> Table:
    """A generated table: 20,000 rows to learn from and 5,000 to be judged on, 20 columns, 2 classes."""
    x, y = make_classification(25_000, 20, n_informative=10, n_clusters_per_class=4, random_state=TABLE_SEED)
    return _table(x, y, test_rows=5_000)


def mlp(sizes: tuple[int, ...], seed: int) -> nn.Sequential:
    """Linear layers of these sizes, from the inputs to the outputs, with ReLU between them."""
    torch.manual_seed(seed)
    layers = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def mlp_job(table: Table, hidden: tuple[int, ...], *, members: int, batch: int, epochs: int) -> Job:
    """A job of multi-layer perceptrons with these hidden sizes."""
    sizes = (table.x.shape[1], *hidden, table.classes)
    return Job(table, partial(mlp, sizes), members, batch, epochs)


def _without_dropout(build: Callable[..., nn.Module], seed: int) -> nn.Module:
    """The network of a seed with its dropout layers, of rate 0, switched off, so that no loop pays for them."""
    network = build(seed=seed)
    for module in network.modules():
        if isinstance(module, Dropout):
            module.eval()
    return network


def layer_job(
    name: str,
    table: Table,
    *,
    members: int,
    batch: int,
    epochs: int,
    width: int | None = None,
    params: int | None = None,
) -> Job:
    """A job of networks of the catalogue, of a width or of a number of parameters."""
    shape = {"in_features": table.x.shape[1], "out_features": table.classes}
    build = partial(lamina.create, name, **shape, width=width, params=params)
    return Job(table, partial(_without_dropout, build), members, batch, epochs)


def linear_sizes(network: nn.Module) -> list[tuple[int, int]]:
    """(inputs, outputs) of the linear layers of an `mlp`."""
    return [(layer.in_features, layer.out_features) for layer in network.children() if isinstance(layer, nn.Linear)]


def digits_32() -> Job:
    """32 MLPs of 64-64 on digits, batch 128, 20 epochs."""
    return mlp_job(digits(), (64, 64), members=32, batch=128, epochs=20)


def digits_128() -> Job:
    """128 MLPs of 32-32 on digits, batch 32, 20 epochs."""
    return mlp_job(digits(), (32, 32), members=128, batch=32, epochs=20)


def arithmetic_8(batch: int = 128) -> Job:
    """8 MLPs of 256-256 on the generated table, 2 epochs."""
    return mlp_job(binary(), (256, 256), members=8, batch=batch, epochs=2)
