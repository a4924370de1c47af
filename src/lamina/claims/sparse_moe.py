"""A sparse mixture of nonlinear experts learns classes within clusters that one expert does not, and finds these."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.sparse_moe import TopGate
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

ACCURACY = "test accuracy (%)"
ENTROPY = "entropy of the cluster, given the expert (nats)"
CLUSTERS, PATCHES, LENGTH = 4, 4, 50
EXPERTS, FILTERS = 8, 16  # filters of an expert, half of them for each class
SCALE, START = 10.0, 1e-3  # of the inputs, and of the initial filters, as in the authors' code
ROUTER_RATE = 0.1


class PatchExperts(nn.Module):
    """Experts of filters for the patches of an input, cubic or linear, and the gate that chooses one for an input.

    An expert's output for a class is the sum over its filters for the class and over the patches. The gate sees the
    sum of the patches, which is the router of the paper.
    """

    def __init__(self, experts: int, filters: int, power: int) -> None:
        super().__init__()
        self.shape, self.power = (experts, 2, filters // 2), power
        self.gate = TopGate(LENGTH, experts)
        nn.init.zeros_(self.gate.weight)
        self.filters = nn.Linear(LENGTH, experts * filters)
        with torch.no_grad():
            for parameter in self.filters.parameters():
                parameter.mul_(START)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unflatten(-1, (PATCHES, LENGTH))
        found = self.filters(patches).pow(self.power).sum(-2)
        outputs = found.unflatten(-1, self.shape).sum(-1)
        return (self.gate(patches.sum(-2)).unsqueeze(-1) * outputs).sum(-2)


def nonlinear(in_features: int, out_features: int) -> nn.Module:
    """Eight cubic experts."""
    return PatchExperts(EXPERTS, FILTERS, 3)


def linear(in_features: int, out_features: int) -> nn.Module:
    """Eight linear experts."""
    return PatchExperts(EXPERTS, FILTERS, 1)


def single(in_features: int, out_features: int) -> nn.Module:
    """One cubic expert with more filters, in the place of the router."""
    return PatchExperts(1, EXPERTS * FILTERS + EXPERTS, 3)


@claim(
    says="On classes within clusters that one nonlinear expert cannot learn, a sparse mixture of nonlinear experts "
    "with a linear router is nearly perfect, its router finds the clusters, and linear experts do not do as well.",
    where="abstract; the data and the trainings as in the notebooks of the authors' code, setting 1",
    system=nonlinear,
    baselines={"linear experts": linear, "single expert": single},
    targets=(
        Target(ACCURACY, "value", at_least=95.0),
        Target(ACCURACY, "difference", at_least=10.0, against="single expert"),
        Target(ACCURACY, "difference", at_least=4.0, against="linear experts"),
        Target(ENTROPY, "difference", at_most=0.0, against="linear experts"),
    ),
    data="Generated as in the authors' code: inputs of four patches of 50 numbers in random order, the feature of one "
    "of four clusters with the class as its sign, the cluster's centre, the feature of another cluster with a random "
    "sign, and noise; 16,000 rows to learn from (quick: 4,000), 1,000 to choose by, 3,000 to test on",
    reported="In the authors' notebook for setting 1: nonlinear mixture 99.5 % and an entropy of 0.10 nats, linear "
    "mixture 93.0 % and 1.30, single nonlinear expert of 128 filters 78.5 %.",
    limits="Batches of 256 rows (quick: 64) instead of all, new noise at every step, and one setting of four. AdamW is "
    "tried beside the paper's descent, for every arm alike: with the descent alone linear experts had 97 to 98 % in "
    "trials. No collapse is not measured by itself: a router that sends "
    "all to one expert has an entropy of 1.39 and the accuracy of the single expert. That the router finds the centres "
    "is seen in the entropy alone.",
)
def clusters(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """Accuracy and routing of the training with the lowest validation loss, of the same trainings for every arm.

    Half of them are the paper's: descent with the gradient of each expert divided by its norm, plain descent for the
    router. The others are AdamW for all parameters. The entropy is that of a test row's cluster given its expert.
    """
    rows, batch = scale.pick(quick=(4_000, 64), full=(16_000, 256))
    x, y, cluster = _data(seed, rows + 4_000)
    train, validation, test = np.split(np.arange(len(x)), (rows, rows + 1_000))
    tried = []
    for rate in scale.pick(quick=(1.5e-3,), full=(5e-4, 1e-3)):
        network = arm(x.shape[1], 2, seed=seed)
        _descend(network, x[train], y[train], rate, scale.pick(quick=250, full=500), batch, seed)
        tried.append(network)
    rates = scale.pick(quick=(3e-3,), full=(3e-3, 1e-2))
    fitted = arm.fit(
        [arm(x.shape[1], 2, seed=seed)] * len(rates),
        x,
        y,
        members=[Member(Setting(rate, 0.0, 0.0), seed, train, validation) for rate in rates],
        recipe=Recipe(steps=scale.pick(quick=60, full=500), batch_size=batch, patience=1.0, checks=4),
    )
    tried += [fitted.fleet.module(i) for i in range(len(rates))]
    with torch.no_grad():
        losses = [float(F.cross_entropy(network(x[validation]), y[validation])) for network in tried]
        best = tried[int(np.nan_to_num(losses, nan=np.inf).argmin())]
        right = best(x[test]).argmax(1) == y[test]
        gate = best.get_submodule("gate")(x[test].unflatten(-1, (PATCHES, LENGTH)).sum(-2))
    counts = torch.zeros(gate.shape[1], CLUSTERS).index_put((gate.argmax(1), cluster[test]), torch.tensor(1.0), True)
    return {ACCURACY: 100 * float(right.double().mean()), ENTROPY: _entropy(counts.double())}


def _descend(network: nn.Module, x: Tensor, y: Tensor, rate: float, steps: int, batch: int, seed: int) -> None:
    """Descent on the cross-entropy, with the experts' gradients divided by their norms."""
    rows = np.random.default_rng(seed).integers(len(x), size=(steps, batch))
    router, *experts = (network.get_parameter(name) for name in ("gate.weight", "filters.weight", "filters.bias"))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for some in torch.from_numpy(rows):
            loss = F.cross_entropy(network(x[some]), y[some])
            slope, *slopes = torch.autograd.grad(loss, [router, *experts])
            flat = [g.view(len(router), -1) for g in slopes]
            norm = torch.cat(flat, 1).norm(dim=1, keepdim=True).clamp_min(1e-30)
            with torch.no_grad():
                router.sub_(ROUTER_RATE * slope)
                for parameter, g in zip(experts, flat, strict=True):
                    parameter.sub_((rate * g / norm).view_as(parameter))
    network.eval()


def _entropy(counts: Tensor) -> float:
    """Of the column, given the row."""
    chance = counts / counts.sum()
    given = chance / chance.sum(1, keepdim=True).clamp_min(1e-30)
    return -float(torch.xlogy(chance, given.clamp_min(1e-30)).sum())


def _data(seed: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, classes and clusters.

    The four patches, in random order: the feature of the cluster with the class as its sign, the centre of the
    cluster, the feature of another cluster with a random sign, and noise. All features and centres are orthonormal.
    """
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((LENGTH, 2 * CLUSTERS)))[0].T
    features, centres = basis[:CLUSTERS], basis[CLUSTERS:]
    cluster = rng.integers(CLUSTERS, size=rows)
    other = (cluster + rng.integers(1, CLUSTERS, size=rows)) % CLUSTERS
    sign, random_sign = rng.choice([-1.0, 1.0], (2, rows))
    alpha, beta, gamma = (rng.uniform(low, high, rows) for low, high in ((0.5, 2.0), (1.0, 2.0), (0.5, 3.0)))
    patches = np.stack(
        [
            (sign * alpha)[:, None] * features[cluster],
            beta[:, None] * centres[cluster],
            (random_sign * gamma)[:, None] * features[other],
            rng.standard_normal((rows, LENGTH)) / np.sqrt(LENGTH),
        ],
        axis=1,
    )
    order = rng.permuted(np.tile(np.arange(PATCHES), (rows, 1)), axis=1)
    x = SCALE * np.take_along_axis(patches, order[..., None], 1).reshape(rows, -1)
    return torch.from_numpy(x).float(), torch.from_numpy((sign > 0).astype(np.int64)), torch.from_numpy(cluster)
