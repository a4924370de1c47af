"""A gate that knows the task lets tasks with few rows learn from related ones, and unrelated ones do no harm."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.task_moe import TaskMoELinear
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

FEW = "error of the tasks with few rows, by their variance"
COST = "error of the related tasks with an unrelated one, by that without"
RATES = (3e-3, 1e-2, 3e-2)
GROUPS, MEMBERS, WIDTH = 2, 4, 12
TASKS = GROUPS * MEMBERS + 1  # the last is related to none
ROWS, FEW_ROWS, VALIDATION, TEST = 300, 16, 50, 200


class MultiTask(nn.Module):
    """Rows of features and a task: a hidden layer, and for each task a linear output.

    The hidden layer is dense or a mixture of experts of its width, whose gate knows the task or not.
    """

    def __init__(self, in_features: int, experts: int, knows: bool) -> None:
        super().__init__()
        self.knows = knows
        self.hidden = TaskMoELinear(in_features, WIDTH, tasks=TASKS * knows, experts=experts)
        self.heads = nn.Linear(WIDTH, TASKS)

    def forward(self, x: Tensor) -> Tensor:
        task = x[..., -1].long()
        outputs = self.heads(self.hidden(x[..., :-1], task if self.knows else None))
        return outputs.gather(-1, task.unsqueeze(-1))


def task_gate(in_features: int, out_features: int) -> nn.Module:
    """Four experts, the gate sees features and task."""
    return MultiTask(in_features, 4, True)


def input_gate(in_features: int, out_features: int) -> nn.Module:
    """Four experts, the gate sees the features."""
    return MultiTask(in_features, 4, False)


def dense(in_features: int, out_features: int) -> nn.Module:
    """One hidden layer for all tasks, as wide as an expert."""
    return MultiTask(in_features, 1, False)


@claim(
    says="A sparse mixture whose gate knows the task is better than a dense network of the same arithmetic on tasks "
    "with few rows, for which related ones have many, and is not disturbed by unrelated tasks.",
    where="abstract",
    system=task_gate,
    baselines={"dense sharing": dense, "gate of the input": input_gate},
    targets=(
        Target(FEW, "ratio", at_most=1.0, against="dense sharing"),
        Target(FEW, "ratio", at_most=1.0, against="gate of the input"),
        Target(COST, "value", at_most=1.02),
    ),
    data="Generated: two groups of four tasks, each task a random combination of its group's eight tanh units of six "
    "normal features, with noise of a tenth; 300 rows of a task to learn from and 16 of one task of each group; the "
    "unrelated task is a combination of units of its own",
    reported="Better transfer to tasks with few rows from related ones, and existing tasks are not forgotten when "
    "unrelated ones are added; language tasks and transformers.",
    limits="Small functions and one hidden layer in place of a transformer. New tasks, which the paper also reports, "
    "are left out. Arithmetic is equal if experts that a row does not use are not computed.",
    unequal="Experts and gates are parameters that a dense network of the same arithmetic per row does not have.",
)
def transfer(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Squared errors on test rows, at the learning rate with the lowest validation loss on the related tasks."""
    found = [_trained(arm, 1_000 * seed + draw, scale) for draw in range(scale.pick(quick=1, full=2))]
    few, cost = np.log(found).mean(0)
    return {FEW: float(np.exp(few)), COST: float(np.exp(cost))}


def _trained(arm: Arm, seed: int, scale: Scale) -> tuple[float, float]:
    x, y, (train, validation, test) = _tasks(seed)
    tasks = x[:, -1].numpy()
    related = [part[tasks[part] < TASKS - 1] for part in (train, validation, test)]
    trials = [(rate, rows) for rows in (related[0], train) for rate in RATES]
    network = arm(x.shape[1] - 1, 1, seed=seed)
    fitted = arm.fit(
        [network] * len(trials),
        x,
        y,
        members=[Member(Setting(rate, 1e-2, 0.0), seed, rows, related[1]) for rate, rows in trials],
        recipe=Recipe(steps=scale.pick(quick=220, full=1_500), batch_size=64, patience=1.0, checks=10),
    )
    losses = np.reshape([trace.loss for trace in fitted.traces], (2, -1))
    alone, together = (
        _errors(fitted.fleet.module(first + int(best)), x, y, related[2])
        for first, best in zip((0, len(RATES)), losses.argmin(1), strict=True)
    )
    return float(alone[::MEMBERS].mean()), float(together.mean() / alone.mean())


def _errors(network: nn.Module, x: Tensor, y: Tensor, rows: np.ndarray) -> np.ndarray:
    """The mean squared error on each task but the last."""
    with torch.no_grad():
        squares = (network(x[rows])[:, 0] - y[rows]).square().numpy()
    tasks = x[rows, -1].numpy()
    return np.array([squares[tasks == task].mean() for task in range(TASKS - 1)])


def _tasks(seed: int) -> tuple[Tensor, Tensor, list[np.ndarray]]:
    """Features with the task in the last column, values of variance 1, and the rows of the parts."""
    rng = np.random.default_rng(seed)
    n = ROWS + VALIDATION + TEST
    features, values, parts = [], [], [[], [], []]
    units = rng.standard_normal((GROUPS + 1, 6, 8)) / np.sqrt(3)
    for task in range(TASKS):
        x = rng.standard_normal((n, 6))
        y = np.tanh(x @ units[task // MEMBERS]) @ rng.standard_normal(8)
        features.append(np.column_stack([x, np.full(n, task)]))
        values.append((y - y.mean()) / y.std() + 0.1 * rng.standard_normal(n))
        first = FEW_ROWS if task % MEMBERS == 0 and task < TASKS - 1 else ROWS
        cut = np.split(np.arange(n) + task * n, (ROWS, ROWS + VALIDATION))
        for part, rows in zip(parts, (cut[0][:first], *cut[1:]), strict=True):
            part.append(rows)
    x, y = (torch.from_numpy(np.concatenate(arrays)).float() for arrays in (features, values))
    return x, y, [np.concatenate(part) for part in parts]
