"""The one training loop: a fleet of members, one included."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lamina.errors import LaminaError
from lamina.training.fleet import Fleet
from lamina.training.loss import member_loss
from lamina.training.optimiser import AdamW
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting


class OutOfTime(Exception):
    """The deadline came before the training was done."""


@dataclass(frozen=True)
class Member:
    """What sets one member of a fleet apart.

    Attributes:
        setting: learning rate, weight decay and dropout.
        seed: of the order of its batches.
        train: rows that it learns from.
        validation: rows that choose its stopping point; none means that it trains to the end.
    """

    setting: Setting
    seed: int
    train: np.ndarray
    validation: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass
class Trace:
    """What happened to one member.

    Attributes:
        train, validation: mean loss since the last look, and validation loss, at each look.
        best: the look whose weights were kept.
        steps: updates that were made.
        diverged: whether a loss was not finite. The weights kept are those of before, if there were any.
    """

    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    best: int = -1
    steps: int = 0
    diverged: bool = False

    @property
    def loss(self) -> float:
        """The validation loss of the weights that were kept; infinite if there is none."""
        return self.validation[self.best] if self.best >= 0 and self.validation else math.inf


def _padded(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unequal lengths as one matrix, and a weight of 0 for what fills it up."""
    longest = max(map(len, rows))
    index = np.stack([np.resize(r, longest) if len(r) else np.zeros(longest, np.int64) for r in rows])
    present = np.stack([np.arange(longest) < len(r) for r in rows])
    return index, present.astype(np.float32)


class _Run:
    """The state of a training between two steps. Members that are done have left its stack."""

    def __init__(
        self,
        fleet: Fleet,
        members: Sequence[Member],
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        recipe: Recipe,
        seed: int,
        optimiser: AdamW | None,
    ) -> None:
        self.fleet, self.members, self.x, self.y, self.weight, self.recipe = fleet, members, x, y, weight, recipe
        self.seed, self.step = seed, 0
        self.rows = min(len(m.train) for m in members)
        self.steps, self.batch = recipe.steps_for(self.rows), recipe.batch_for(self.rows)
        self.epoch_steps = self.rows // self.batch
        self.every = max(1, self.steps // recipe.checks)
        self.traces = [Trace() for _ in members]
        self.best = fleet.parameters.clone()
        self.judged = all(len(m.validation) for m in members)

        settings = [m.setting for m in members]
        rates, decays = ([getattr(s, name) for s in settings] for name in ("learning_rate", "weight_decay"))
        self.active = list(range(len(members)))
        self.stack = fleet
        self.peak = torch.tensor(rates, device=fleet.device)
        decay = torch.tensor(decays, device=fleet.device)[:, None] * fleet.decayed()
        self.optimiser = optimiser or AdamW(fleet.parameters, decay)
        self.optimiser.parameters = fleet.parameters.clone()
        self.average = fleet.parameters.clone()
        self.sums = torch.zeros(len(members), device=fleet.device)
        self.epoch, self.order = -1, torch.empty(0)
        index, present = _padded([m.validation for m in members])
        self.validation, self.present = (torch.from_numpy(a).to(fleet.device) for a in (index, present))

    def leave(self, going: list[int]) -> None:
        """Go on with the members at these places of the stack."""
        index = torch.tensor(going, device=self.fleet.device, dtype=torch.long)
        self.active = [self.active[i] for i in going]
        self.stack = self.stack.select(going)
        self.optimiser.select(index)
        for name in ("peak", "average", "sums", "validation", "present"):
            setattr(self, name, getattr(self, name)[index])
        self.epoch = -1

    def indices(self) -> Tensor:
        """(members, batch) rows of this step. They depend on the members' seeds and the step alone."""
        epoch, at = divmod(self.step, self.epoch_steps)
        if epoch != self.epoch:
            members = [self.members[i] for i in self.active]
            orders = [np.random.default_rng((m.seed, epoch)).permutation(m.train)[: self.rows] for m in members]
            self.epoch, self.order = epoch, torch.from_numpy(np.stack(orders)).to(self.fleet.device)
        return self.order[:, at * self.batch : (at + 1) * self.batch]

    def update(self) -> None:
        """One step of every member."""
        index, live = self.indices(), self.optimiser.parameters
        weight = None if self.weight is None else self.weight[index]
        live.requires_grad_(True)
        with torch.autocast(self.fleet.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            output = self.stack.forward(live, self.x[index], training=True)
        loss = member_loss(output, self.y[index], weight)
        (gradient,) = torch.autograd.grad(loss.sum(), live)
        live.requires_grad_(False)
        norm = gradient.norm(dim=1, keepdim=True)
        gradient *= self.recipe.clip / norm.clamp_min(self.recipe.clip)
        self.optimiser.step(gradient, self.peak * self.recipe.factor(self.step, self.steps))
        self.step += 1
        self.average.lerp_(live, 1.0 / max(1.0, self.recipe.averaging * self.step))
        self.sums += loss.detach()

    @torch.no_grad()
    def losses(self, chunk: int = 4096) -> Tensor:
        """(members,) validation loss of the averaged weights."""
        total, count = torch.zeros_like(self.sums), torch.zeros_like(self.sums)
        for index, present in zip(self.validation.split(chunk, 1), self.present.split(chunk, 1), strict=True):
            weight = present if self.weight is None else present * self.weight[index]
            output = self.stack.forward(self.average, self.x[index], training=False)
            total += member_loss(output, self.y[index], weight) * weight.sum(1)
            count += weight.sum(1)
        return total / count

    def look(self, taken: int) -> bool:
        """Note the losses, keep the weights of members that improved, let go those that are done; False if all are."""
        train = (self.sums / taken).tolist()
        self.sums.zero_()
        losses = self.losses().tolist() if self.judged else train
        patience = self.recipe.patience * self.steps / self.every
        improved, going = [], []
        for place, member in enumerate(self.active):
            trace = self.traces[member]
            trace.train.append(train[place])
            trace.steps = self.step
            if self.judged:
                trace.validation.append(losses[place])
            trace.diverged = not (math.isfinite(train[place]) and math.isfinite(losses[place]))
            if not trace.diverged and (not self.judged or losses[place] < trace.loss):
                trace.best = len(trace.train) - 1
                improved.append(place)
            if not trace.diverged and len(trace.train) - 1 - trace.best < patience:
                going.append(place)
        self.best[[self.active[i] for i in improved]] = self.average[improved]
        if going and len(going) < len(self.active):
            self.leave(going)
        return bool(going)

    def save(self, path: Path) -> None:
        """Write a checkpoint under a temporary name, then rename it."""
        tensors = {"average": self.average, "best": self.best, **self.optimiser.state()}
        meta = {
            "step": self.step,
            "asked": self.asked(),
            "active": self.active,
            "traces": [asdict(t) for t in self.traces],
        }
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        save_file({k: t.contiguous() for k, t in tensors.items()}, temporary, metadata={"lamina": json.dumps(meta)})
        os.replace(temporary, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this same training; another training's is left alone."""
        with safe_open(path, framework="pt", device=str(self.fleet.device)) as file:
            meta = json.loads((file.metadata() or {}).get("lamina", "{}"))
            if meta.get("asked") != self.asked():
                return
            self.leave(meta["active"])
            state = {"average": self.average, "best": self.best, **self.optimiser.state()}
            for name, tensor in state.items():
                tensor.copy_(file.get_tensor(name))
        self.step = self.optimiser.steps = meta["step"]
        self.traces = [Trace(**t) for t in meta["traces"]]

    def asked(self) -> str:
        """A fingerprint of what is trained on what."""
        digest = hashlib.sha256(repr((self.recipe, self.seed, list(self.fleet.parameters.shape))).encode())
        digest.update(self.fleet.parameters.cpu().numpy().tobytes())
        for member in self.members:
            digest.update(repr((member.setting, member.seed)).encode() + member.train.tobytes())
        return digest.hexdigest()


def train(
    fleet: Fleet,
    members: Sequence[Member],
    x: Tensor,
    y: Tensor,
    *,
    weight: Tensor | None = None,
    recipe: Recipe = Recipe(),
    seed: int = 0,
    optimiser: AdamW | None = None,
    deadline: float = math.inf,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trace]:
    """Train every member of `fleet`, in place, and leave each with its best weights.

    The loss is cross-entropy for integer `y`, squared error for floating `y`. Members do not influence each other:
    the gradient of the summed losses falls apart into theirs.

    Args:
        fleet: the networks, at their initialisation.
        members: one per network of the fleet.
        x: (rows, features) of the whole data; members point into it.
        y: (rows,) class codes, or values (standardise them).
        weight: (rows,) of the rows in the losses; None for equal ones.
        recipe: what all members share.
        seed: of dropout and other noise.
        optimiser: to go on with, moments and all, changed in place; None for a new one.
        deadline: the `time.monotonic()` at which to give up.
        checkpoint: a file to write the state to at every look, and to go on from if it is there.
        progress: called with the steps done and the steps planned.

    Raises:
        LaminaError: the number of members is not the fleet's.
        OutOfTime: the deadline came.
    """
    if len(members) != len(fleet):
        raise LaminaError(f"{len(members)} members for a fleet of {len(fleet)} networks")
    x, y = x.to(fleet.device), y.to(fleet.device)
    run = _Run(fleet, members, x, y, None if weight is None else weight.to(fleet.device), recipe, seed, optimiser)
    if checkpoint is not None and checkpoint.exists():
        run.load(checkpoint)
    with torch.random.fork_rng(devices=[fleet.device] if fleet.device.type == "cuda" else []):
        going = True
        while going and run.step < run.steps:
            if time.monotonic() > deadline:
                raise OutOfTime
            # Reseeding at each look makes a training that went on from a checkpoint the same as one that never stopped.
            torch.manual_seed(seed * 1_000_003 + run.step)
            taken = min(run.every, run.steps - run.step)
            for _ in range(taken):
                run.update()
            going = run.look(taken)
            if checkpoint is not None:
                run.save(checkpoint)
            if progress is not None:
                progress(run.step if going else run.steps, run.steps)
    fleet.parameters = run.best
    return run.traces
