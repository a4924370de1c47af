"""Trained models: the members of a network, their preprocessing and their target, together and on disk."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn

from lamina import networks
from lamina.data.encoder import Encoder
from lamina.data.reading import read_table
from lamina.data.splits import Split
from lamina.data.target import Target
from lamina.data.task import Task
from lamina.errors import LaminaError
from lamina.fold import Fold
from lamina.training import Fleet, Head, Member, OutOfTime, Recipe, Setting, Trace, choose_device, draw_settings, fit
from lamina.training.memory import to_bytes

FORMAT = 1
FACTS, WEIGHTS, ENCODER = "model.json", "weights.safetensors", "encoder.safetensors"


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to build a network again.

    Attributes:
        network: its name in the catalogue.
        in_features, out_features: the numbers of its inputs and outputs.
        categories: cardinalities of its last input columns, which hold category codes.
        sizes: its width, and what else `lamina.networks.sizes_for` found.
    """

    network: str
    in_features: int
    out_features: int
    categories: tuple[int, ...]
    sizes: dict[str, int]

    @classmethod
    def sized(cls, network: str, encoder: Encoder, head: Head, params: int) -> Blueprint:
        """The blueprint of a network for encoded rows, with the sizes that meet a budget of parameters.

        Raises:
            LaminaError: the network cannot be that small.
        """
        shape = {
            "in_features": encoder.n_features,
            "out_features": head.outputs,
            "categories": encoder.cardinalities,
        }
        return cls(network, sizes=networks.sizes_for(network, params=params, **shape), **shape)

    def build(self, *, dropout: float = 0.0, seed: int = 0) -> nn.Module:
        """The network at the initialisation that the seed determines."""
        return networks.create(
            self.network,
            in_features=self.in_features,
            out_features=self.out_features,
            categories=self.categories,
            dropout=dropout,
            seed=seed,
            **self.sizes,
        )


def train_members(
    fold: Fold,
    blueprint: Blueprint,
    settings: Sequence[Setting],
    *,
    recipe: Recipe,
    device: str = "auto",
    memory: int | None = None,
    deadline: float = math.inf,
    settle: bool = False,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Fleet, list[Trace]]:
    """Train one member per setting and seed as one fleet, setting by setting; see `lamina.fit`."""
    grid = [(setting, seed) for setting in settings for seed in range(fold.seeds)]
    fitted = fit(
        lambda i: blueprint.build(dropout=grid[i][0].dropout, seed=grid[i][1]),
        fold.x,
        fold.head.encode(fold.task.y),
        members=[Member(setting, seed, *fold.inner[seed]) for setting, seed in grid],
        recipe=recipe,
        seed=fold.split.index,
        device=device,
        memory=memory,
        deadline=deadline,
        settle=settle,
        checkpoint=checkpoint,
        progress=progress,
    )
    return fitted.fleet, fitted.traces


TRACING = 90_000_000  # bytes for what PyTorch takes when it traces, or half of what is left if that is less


def left_of(memory: int, fold: Fold) -> int:
    """What is left of the `memory` that this process may take in all, beside the rows of the fold and PyTorch.

    Raises:
        LaminaError: nothing.
    """
    size = fold.x.nbytes  # encoded by now, so that it counts
    taken = psutil.Process().memory_info().rss
    if taken >= memory:
        raise LaminaError(
            f"memory is {memory / 1e6:.0f} MB for each process; with {size / 1e6:.0f} MB of encoded rows it has taken "
            f"{taken / 1e6:.0f} MB before it trains: give more, or fewer --jobs"
        )
    left = memory - taken
    return left - min(TRACING, left // 2)


@dataclass(frozen=True)
class Model:
    """A trained network: an ensemble of the members of a fleet whose predictions are averaged.

    Attributes:
        blueprint, fleet: the network and its trained members.
        encoder, head, target: from columns to its inputs, and from its outputs to the target.
        about: what it was trained on and how, for `model.json`.
    """

    blueprint: Blueprint
    fleet: Fleet
    encoder: Encoder
    head: Head
    target: Target
    about: dict[str, Any]

    def _mean(self, data: Any) -> np.ndarray:
        x = torch.from_numpy(self.encoder.transform(read_table(data))).to(self.fleet.device)
        return self.head.decode(self.fleet.predict(x)).mean(0)

    def predict(self, data: Any) -> np.ndarray:
        """Predicted labels or values for a file or frame, (rows,). Columns that the model does not know are ignored.

        Raises:
            LaminaError: a column that the model needs is missing; all such are named.
        """
        mean = self._mean(data)
        return self.target.decode(mean.argmax(1) if self.head.classes else mean)

    def predict_proba(self, data: Any) -> np.ndarray:
        """Class probabilities, (rows, classes), in the order of `target.classes`.

        Raises:
            LaminaError: the model is one of a regression.
        """
        if not self.head.classes:
            raise LaminaError(f"the model predicts the values of {self.target.name!r}, there are no probabilities")
        return self._mean(data)

    def save(self, folder: str | Path) -> Path:
        """Write a model folder: ``weights.safetensors``, ``encoder.safetensors`` and ``model.json``.

        It is written beside its place and then renamed, so that there is never half a model.

        Raises:
            LaminaError: the folder exists and holds anything that is not a model's.
        """
        folder = require_place(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        temporary.mkdir()
        try:
            self._write(temporary)
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        return folder

    def _write(self, folder: Path) -> None:
        weights = {"parameters": self.fleet.parameters.cpu().numpy()}
        weights |= {f"buffer.{name}": tensor.cpu().numpy() for name, tensor in self.fleet.buffers.items()}
        save_file(weights, folder / WEIGHTS)
        save_file(self.encoder.arrays(), folder / ENCODER)
        facts = {
            "format": FORMAT,
            "blueprint": asdict(self.blueprint),
            "encoder": self.encoder.to_dict(),
            "head": {k: v if math.isfinite(v) else None for k, v in self.head.to_dict().items()},
            "target": self.target.to_dict(),
            "about": self.about,
        }
        (folder / FACTS).write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> Model:
        """Read a model folder. Nothing in it is executed; files of the wrong form are refused.

        Raises:
            LaminaError: it is no model folder, or one of its files is missing, foreign or damaged.
        """
        folder = Path(folder)
        if not (folder / FACTS).is_file():
            raise LaminaError(f"{str(folder)!r} is not a model folder: model.json is missing")
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            if facts["format"] != FORMAT:
                raise LaminaError(f"{str(folder)!r} has format {facts['format']}, this version reads {FORMAT}")
            values = facts["blueprint"]
            blueprint = Blueprint(**{**values, "categories": tuple(values["categories"])})
            head = Head(**{k: v for k, v in facts["head"].items() if v is not None})
            encoder = Encoder.from_parts(facts["encoder"], load_file(folder / ENCODER))
            target = Target.from_dict(facts["target"])
            _require_agreement(blueprint, head, encoder, target)
            fleet = _fleet(blueprint, load_file(folder / WEIGHTS)).to(choose_device(device))
        except LaminaError:
            raise
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise LaminaError(
                f"{str(folder)!r} is not a sound model folder: {type(error).__name__}: {error}"
            ) from error
        return cls(blueprint, fleet, encoder, head, target, facts.get("about", {}))


def require_place(folder: str | Path) -> Path:
    """A folder that may be written as a model: it is not there, or it holds a model and nothing else.

    Raises:
        LaminaError: it is a file, or holds something else.
    """
    folder = Path(folder)
    if folder.is_dir():
        others = sorted({path.name for path in folder.iterdir()} - {FACTS, WEIGHTS, ENCODER})
        if others:
            raise LaminaError(f"{str(folder)!r} holds {others[0]!r}, which is no model's; choose another place")
    elif folder.exists():
        raise LaminaError(f"{str(folder)!r} is a file; choose another place for the model folder")
    return folder


def _require_agreement(blueprint: Blueprint, head: Head, encoder: Encoder, target: Target) -> None:
    """Refuse parts that do not belong together, before a network is built of them."""
    pairs = {
        "classes": (head.classes, len(target.classes)),
        "outputs": (blueprint.out_features, head.outputs),
        "features": (blueprint.in_features, encoder.n_features),
        "categories": (blueprint.categories, encoder.cardinalities),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise LaminaError(f"the model's parts do not belong together: {what} are {one} and {other}")


def _fleet(blueprint: Blueprint, weights: dict[str, np.ndarray]) -> Fleet:
    parameters = torch.from_numpy(weights["parameters"])
    with torch.device("meta"):
        wanted = networks.count_params(blueprint.build())
    if parameters.ndim != 2 or parameters.shape[1] != wanted or not len(parameters):
        shape = tuple(parameters.shape)
        raise LaminaError(f"the weights have shape {shape}, {blueprint.network} needs (members, {wanted})")
    fleet = Fleet([blueprint.build()])
    buffers = {name: torch.from_numpy(weights[f"buffer.{name}"]) for name in fleet.buffers}
    for name, buffer in fleet.buffers.items():
        if buffers[name].shape[1:] != buffer.shape[1:] or len(buffers[name]) != len(parameters):
            raise LaminaError(f"the buffer {name!r} has shape {tuple(buffers[name].shape)}, which is not the network's")
    fleet.parameters, fleet.buffers = parameters, buffers
    return fleet


def fit_model(
    task: Task,
    network: str,
    *,
    settings: Sequence[Setting] | None = None,
    params: int = 20_000,
    seeds: int = 3,
    recipe: Recipe = Recipe(),
    racing: bool = True,
    device: str = "auto",
    memory: float | str | None = None,
    deadline: float = math.inf,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Model:
    """Train a network on all rows of a task.

    Every seed draws its own validation part, which stops its training; the mean of the seeds' validation losses
    chooses the setting; the seeds of the chosen setting are the members of the model.

    Args:
        settings: to choose from; None for the eight of `lamina.training.draw_settings`.
        params: the budget of parameters of one member.
        seeds: how many members; three cost little and average out much of the chance in a training.
        racing: stop settings that fall behind early (`lamina.training.racing`), whatever the recipe says. Only the
            chosen one is kept, and that is always trained to the end.
        memory: bytes (or a text such as ``2GB``) that this process may take in all; by default 0.7 of what is free is
            taken beside what it has.
        deadline: the `time.monotonic()` at which to be content with the best weights so far.

    Raises:
        LaminaError: every training diverged, the deadline came before the first look at the validation losses, or the
            memory is less than this process has taken.
    """
    if seeds < 1:
        raise LaminaError(f"seeds is {seeds}, it has to be at least 1")
    choose_device(device)
    settings = draw_settings(8) if settings is None else list(settings)
    everything = Split(0, np.arange(task.rows), np.empty(0, dtype=np.int64))
    fold = Fold(task, everything, seeds, params)
    blueprint = Blueprint.sized(network, fold.encoder, fold.head, params)
    try:
        fleet, traces = train_members(
            fold,
            blueprint,
            settings,
            recipe=replace(recipe, racing=racing),
            device=device,
            memory=None if memory is None else left_of(to_bytes(memory), fold),
            deadline=deadline,
            settle=True,
            checkpoint=checkpoint,
            progress=progress,
        )
    except OutOfTime:
        raise LaminaError(f"the time was too short to train {network}; give more, or fewer settings or seeds") from None
    losses = np.array([t.loss for t in traces]).reshape(len(settings), seeds)
    chosen = int(losses.mean(1).argmin())
    if not np.isfinite(losses[chosen]).all():
        raise LaminaError(f"every training of {network} diverged; try a lower learning rate or other scaling")
    about = {
        "data": task.name,
        "rows": task.rows,
        "task": task.target.kind,
        "params": fleet.parameters.shape[1],
        "seeds": seeds,
        "setting": settings[chosen].to_dict(),
        "validation": losses[chosen].tolist(),
    }
    members = fleet.select(range(chosen * seeds, (chosen + 1) * seeds))
    return Model(blueprint, members, fold.encoder, fold.head, task.target, about)
