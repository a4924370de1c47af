"""The state of a training: a stack of members, taken from step to step and from look to look."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from lamina.training.distributed import current
from lamina.training.fleet import Fleet
from lamina.training.loss import member_loss
from lamina.training.member import Member, Trace
from lamina.training.noise import Noise
from lamina.training.optimiser import Optimiser, make_optimiser
from lamina.training.program import Step, make_step
from lamina.training.racing import fallen_behind, rung_between
from lamina.training.recipe import Recipe
from lamina.training.schedule import factors

RETRACE = 50  # steps of the stack that must be saved before members that are done leave it, as it is traced again then


class Run:
    """The state of a training between two steps. Members that are done leave its stack when that saves time."""

    def __init__(
        self,
        fleet: Fleet,
        members: Sequence[Member],
        x: Tensor,
        y: Tensor,
        weight: Tensor | None,
        recipe: Recipe,
        seed: int,
        optimiser: Optimiser | None,
    ) -> None:
        self.fleet, self.members, self.x, self.y, self.weight, self.recipe = fleet, members, x, y, weight, recipe
        self.seed, self.step = seed, 0
        self.rows = min(len(m.train) for m in members)
        self.steps, self.batch = recipe.steps_for(self.rows), recipe.batch_for(self.rows)
        self.epoch_steps = self.rows // self.batch
        self.every = max(1, self.steps // recipe.checks)
        self.traces = [Trace() for _ in members]
        self.judged = all(len(m.validation) for m in members)

        self.active, self.done = list(range(len(members))), set[int]()
        self.stack = copy.copy(fleet)
        self.stack.buffers = {name: tensor.clone() for name, tensor in fleet.buffers.items()}
        self.rates = self._rates()
        decay = fleet.parameters.new_tensor([m.setting.weight_decay for m in members])[:, None] * fleet.decayed()
        live = fleet.parameters.clone()
        self.optimiser = optimiser or make_optimiser(recipe.optimiser, live, decay, fleet.shapes)
        self.optimiser.parameters = live
        self.average = live.clone() if recipe.averaging else live
        self.sums = torch.zeros(len(members), device=fleet.device)
        self.epoch, self.order = -1, torch.empty(0)
        self.ranks = current()
        judged = _padded([m.validation for m in members])
        part = self.ranks.part(judged[0].shape[1])
        self.validation, self.present = (torch.from_numpy(a[:, part]).to(fleet.device) for a in judged)
        self.noise = Noise([(m.seed, seed) for m in members], fleet.device, self.ranks.shard(self.batch))
        self.compute: Step | None = None
        self.place = x.new_empty(0)  # memory for the rows of a batch, the same at every step

    def _rates(self) -> Tensor:
        """(steps, members) learning rates."""
        names = [m.schedule or self.recipe.schedule for m in self.members]
        shares = {name: factors(name, self.steps, self.recipe.warmup) for name in set(names)}
        peaks = torch.tensor([m.setting.learning_rate for m in self.members], dtype=self.fleet.parameters.dtype)
        return (torch.stack([shares[name] for name in names], dim=1) * peaks).to(self.fleet.device)

    def leave(self, staying: list[int]) -> None:
        """Go on with the members at these places of the stack."""
        index = torch.tensor(staying, device=self.fleet.device, dtype=torch.long)
        self.active = [self.active[i] for i in staying]
        self.stack = self.stack.select(staying)
        self.optimiser.select(index)
        self.noise.keep(staying)
        self.rates = self.rates[:, index]
        self.average = self.average[index] if self.recipe.averaging else self.optimiser.parameters
        for name in ("sums", "validation", "present"):
            setattr(self, name, getattr(self, name)[index])
        self.epoch, self.compute, self.place = -1, None, self.x.new_empty(0)

    def indices(self) -> Tensor:
        """(members, batch) rows of this step. They depend on the members' seeds and the step alone."""
        epoch, at = divmod(self.step, self.epoch_steps)
        if epoch != self.epoch:
            members = [self.members[i] for i in self.active]
            order = {(m.seed, id(m.train)): m for m in members}
            orders = {
                key: np.random.default_rng((m.seed, epoch)).permutation(m.train)[: self.rows]
                for key, m in order.items()
            }
            stacked = np.stack([orders[m.seed, id(m.train)] for m in members])
            self.epoch, self.order = epoch, torch.from_numpy(stacked).to(self.fleet.device)
        return self.order[:, at * self.batch : (at + 1) * self.batch]

    def update(self) -> None:
        """One step of every member."""
        index, live = self.indices(), self.optimiser.parameters
        weight, part = None if self.weight is None else self.weight[index], self.ranks.part(self.batch)
        own = index[:, part]
        batch = _rows(self.x, own, self.place), self.y[own], None if weight is None else weight[:, part]
        if self.compute is None:
            self.compute = make_step(
                self.stack, live, *batch, self.noise, autocast=self.recipe.precision == "bfloat16",
                penalty=self.recipe.penalty, compile=self.recipe.compile, steps=self.steps - self.step,
            )  # fmt: skip
            self.fleet.stacks = self.stack.stacks  # as it was found to be
        self.noise.begin(self.step)
        loss, gradient = self.compute(live, self.stack.buffers, *batch)
        self.ranks.combine(loss, gradient, self.batch, weight)
        if self.recipe.clip is not None:
            norm = gradient.norm(dim=1, keepdim=True)
            gradient *= self.recipe.clip / norm.clamp_min(self.recipe.clip)
        self.optimiser.step(gradient, self.rates[self.step])
        self.step += 1
        if self.recipe.averaging:
            self.average.lerp_(live, 1.0 / max(1.0, self.recipe.averaging * self.step))
        self.sums += loss

    @torch.no_grad()
    def losses(self) -> Tensor:
        """(members,) validation loss of the averaged weights."""
        total, count = torch.zeros_like(self.sums), torch.zeros_like(self.sums)
        chunks = (tensor.split(self.stack.chunk, 1) for tensor in (self.validation, self.present))
        for index, present in zip(*chunks, strict=True):
            weight = present if self.weight is None else present * self.weight[index]
            output = self.stack.forward(self.average, _rows(self.x, index), training=False)
            total += member_loss(output, self.y[index], weight) * weight.sum(1)
            count += weight.sum(1)
        self.ranks.sum(total, count)
        return total / count

    def means(self, taken: int) -> tuple[list[float], list[float]]:
        """Each member's mean loss in the last steps, and its validation loss if it has one; alike in all processes."""
        self.ranks.sum(self.sums)
        self.ranks.follow(*self.stack.buffers.values())
        means = [self.sums / taken, self.losses() if self.judged else self.sums / taken]
        self.ranks.follow(*means)
        self.sums.zero_()
        train, losses = (mean.tolist() for mean in means)
        return train, losses

    def look(self, taken: int) -> bool:
        """Note the losses, keep the weights of members that improved, let go those that are done; False if all are."""
        train, losses = self.means(taken)
        patience = self.recipe.patience * self.steps / self.every
        improved = []
        for place, member in enumerate(self.active):
            if member in self.done:
                continue
            trace = self.traces[member]
            trace.train.append(train[place])
            trace.steps = self.step
            if self.judged:
                trace.validation.append(losses[place])
            trace.diverged = not (math.isfinite(train[place]) and math.isfinite(losses[place]))
            if not trace.diverged and (not self.judged or losses[place] < trace.loss):
                trace.best = len(trace.train) - 1
                improved.append(place)
            if trace.diverged or len(trace.train) - 1 - trace.best >= patience:
                self.done.add(member)
        self.keep(improved)
        if self.recipe.racing and self.judged and rung_between(self.step - taken, self.step, self.steps):
            self.race()
        staying = [place for place, member in enumerate(self.active) if member not in self.done]
        saved = (1 - len(staying) / len(self.active)) * (self.steps - self.step)
        if staying and saved > RETRACE:
            self.leave(staying)
        return bool(staying)

    def race(self) -> None:
        """Stop the members of the settings that fall behind, whether they are still in the stack or not."""
        racing = [number for number, trace in enumerate(self.traces) if not trace.outraced]
        entries, losses = [self.members[i].entry for i in racing], [self.traces[i].loss for i in racing]
        for place in fallen_behind(entries, losses):
            self.traces[racing[place]].outraced = True
            self.done.add(racing[place])

    def keep(self, places: list[int]) -> None:
        """Put the weights and buffers of the members at these places of the stack into the fleet."""
        for place in places:  # row by row, since an index would copy all of them first
            member = self.active[place]
            self.fleet.parameters[member].copy_(self.average[place])
            for name, tensor in self.fleet.buffers.items():
                tensor[member].copy_(self.stack.buffers[name][place])

    def save(self, path: Path) -> None:
        """Write a checkpoint under a temporary name, then rename it."""
        meta = {
            "step": self.step,
            "asked": self.asked,
            "active": self.active,
            "done": sorted(self.done),
            "traces": [asdict(t) for t in self.traces],
        }
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        tensors = {k: t.contiguous() for k, t in self.tensors().items()}
        save_file(tensors, temporary, metadata={"lamina": json.dumps(meta)})
        os.replace(temporary, path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this same training if there is one; another training's is left alone."""
        asked = self.asked
        if not path.exists():
            return
        with safe_open(path, framework="pt", device=str(self.fleet.device)) as file:
            meta = json.loads((file.metadata() or {}).get("lamina", "{}"))
            if meta.get("asked") != asked:
                return
            if len(meta["active"]) < len(self.active):
                self.leave(meta["active"])
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
        self.optimiser.load(stored)
        for name, tensor in self.tensors().items():
            if name not in self.optimiser.state():
                tensor.copy_(stored[name])
        self.step, self.done = meta["step"], set(meta["done"])
        self.traces = [Trace(**t) for t in meta["traces"]]

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds."""
        buffers = {f"buffer.{name}": tensor for name, tensor in self.stack.buffers.items()}
        kept = {f"best.buffer.{name}": tensor for name, tensor in self.fleet.buffers.items()}
        average = {"average": self.average} if self.recipe.averaging else {}
        return {"best": self.fleet.parameters, **average, **buffers, **kept, **self.optimiser.state()}

    @cached_property
    def asked(self) -> str:
        """A fingerprint of what is trained on what; taken before the first step, since that changes the fleet."""
        digest = hashlib.sha256(repr((self.recipe, self.seed, list(self.fleet.parameters.shape))).encode())
        digest.update(self.fleet.parameters.cpu().numpy().tobytes())
        for member in self.members:
            digest.update(repr((member.setting, member.seed, member.schedule)).encode() + member.train.tobytes())
        return digest.hexdigest()


def _rows(x: Tensor, index: Tensor, place: Tensor | None = None) -> Tensor:
    """``x[index]``, of whole rows, several times faster; written into `place` if there is one."""
    return torch.index_select(x, 0, index.flatten(), out=place).view(*index.shape, *x.shape[1:])


def _padded(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of unequal lengths as one matrix, and a weight of 0 for what fills it up."""
    longest = max(map(len, rows))
    index = np.stack([np.resize(r, longest) if len(r) else np.zeros(longest, np.int64) for r in rows])
    present = np.stack([np.arange(longest) < len(r) for r in rows])
    return index, present.astype(np.float32)
