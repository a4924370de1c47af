"""A gated unit in the place of attention classifies nearly as well for fewer operations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lamina.claims.karat import ACCURACY, Block, Softmax, accuracy, transformer
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.activator import ActivatorLinear
from lamina.networks.size import flops

COST = "operations of a forward pass"
WIDTH = 24


class Gated(nn.Module):
    """``x + unit(norm(x))``: the reduced block, without the second, ordinary dense part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = nn.Sequential(nn.LayerNorm(width), ActivatorLinear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.unit(x)


def wide(block: Callable[[int], nn.Module]) -> Callable[..., nn.Module]:
    """What makes transformers of one width."""

    def make(in_features: int, out_features: int) -> nn.Module:
        return transformer(block, in_features, out_features, WIDTH)

    return make


@claim(
    says="Vision transformers whose attention is replaced by a gated linear unit, and whose ordinary dense part may be "
    "left out then, do about as well as with attention and need fewer operations.",
    where="abstract, and the authors' code for the block of gated units alone",
    system=wide(Gated),
    baselines={
        "attention": wide(lambda n: Block(n, Softmax(n))),
        "unit and dense": wide(lambda n: Block(n, ActivatorLinear(n, n))),
    },
    targets=(
        Target(ACCURACY, "difference", at_least=-1.0, against="attention"),
        Target(COST, "ratio", at_most=0.75, against="attention"),
    ),
    data="full: 9,000 digits of MNIST, 4,000 to learn from, 1,000 to choose by, 4,000 to test on; quick: the 1,797 "
    "digits of scikit-learn, 1,000, 300 and 497; in 16 patches",
    reported="Competitive accuracy at a lower cost; no numbers in the abstract.",
    limits="One block of 24 units and 1,500 steps on digits (quick: 120), after which attention, which starts more "
    "slowly, still learns. Every arm gets learnt places of the patches, which the authors' code has not. In that code, "
    "and so here, the unit maps each patch by itself: patches meet in the mean before the last layer alone.",
    unequal="Networks of one width: that the unit needs fewer parameters and operations is what is said.",
)
def activator(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    """The test accuracy of the better of two learning rates, and the operations of one image."""
    pixels = scale.pick(quick=64, full=784)
    network = arm(pixels, 10, seed=seed)
    with sdpa_kernel(SDPBackend.MATH):  # the fused form of attention is not counted
        cost = flops(network, pixels)
    return {ACCURACY: accuracy(arm, network, seed, scale), COST: float(cost)}
