"""A bilinear layer is exactly a third-order tensor, and no worse as a feed-forward part than one with GELU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import hessian, jacrev, vmap

from lamina.claims._characters import next_character_loss
from lamina.evidence import Arm, Scale, Target
from lamina.evidence.claim import claim
from lamina.layers.bilinear import BilinearLinear
from lamina.networks.size import solve_width
from lamina.training.member import Member
from lamina.training.recipe import Recipe
from lamina.training.setting import Setting

RATES = (3e-3, 1e-2)


def gelu(in_features: int, out_features: int) -> nn.Module:
    """A dense layer with GELU."""
    return nn.Sequential(nn.Linear(in_features, out_features), nn.GELU())


def feed_forward(
    layer: Callable[[int, int], nn.Module], in_features: int, out_features: int, *, params: int, depth: int = 1
) -> nn.Module:
    """One layer and a linear map back, without normalisation; there is no form of another depth."""

    def build(width: int) -> nn.Module:
        return nn.Sequential(layer(in_features, width), nn.Linear(width, out_features))

    return build(solve_width(build, params))


@claim(
    says="A bilinear layer beats one with an ordinary activation, and yet it is nothing but a third-order tensor "
    "contracted twice with the input, so that linear algebra can take it apart.",
    where="abstract and section 2",
    system=partial(feed_forward, BilinearLinear),
    baselines={"mlp": partial(feed_forward, gelu)},
    params=5_000,
    targets=(
        Target("relative error of the tensor's outputs and gradients", "every value", at_most=1e-6),
        Target("relative error of the eigenvectors' logits", "every value", at_most=1e-6),
        Target("log loss on digits", "ratio", at_most=1.01),
        Target("loss on Tiny Shakespeare", "ratio", at_most=1.01, scale="full"),
    ),
    data="scikit-learn's digits, 1,797 images of 8 x 8 pixels from 0 to 1: 60 % to train, 20 % to choose, 20 % to "
    "test; Tiny Shakespeare",
    reported="No experiments; that bilinear layers do better than ordinary activations is cited from Shazeer 2020, GLU "
    "Variants Improve Transformer, arXiv:2002.05202.",
    limits="5,000 parameters on digits; a transformer of two blocks of width 48 and 600 steps, where the work that the "
    "paper cites trains large ones.",
)
def tensor_form(arm: Arm, seed: int, scale: Scale) -> dict[str, float]:
    r"""How far a network trained on digits is from a quadratic form, and how well it and a small transformer do.

    With :math:`\tilde x = (x, 1)` the form is :math:`f_o(x) = \sum_{ij} T_{oij} \tilde x_i \tilde x_j`, its tensor
    taken from value, slope and curvature of the trained map at 0 in double precision. Reported are the largest errors
    on the test images of its outputs, of its gradients and of the logits
    :math:`\sum_k \lambda_{ok} (v_{ok}^\top \tilde x)^2` from the eigenvectors of each class's matrix, each relative to
    the largest entry of what it approximates; and the test's log loss.
    """
    rng = np.random.default_rng(seed)
    pixels, classes = load_digits(return_X_y=True)
    x, y = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(classes)
    train, validation, test = np.split(rng.permutation(len(x)), [int(0.6 * len(x)), int(0.8 * len(x))])
    members = [Member(Setting(rate, 0.1, 0.0), seed, train, validation) for rate in RATES]
    recipe = Recipe(steps=scale.pick(quick=300, full=1_500), batch_size=64, patience=1.0)
    fitted = arm.fit([arm(64, 10, seed=seed)] * len(RATES), x, y, members=members, recipe=recipe)
    network = fitted.fleet.module(fitted.best).double()
    with torch.no_grad():
        found = exactness(network, x[test].double())
        found["log loss on digits"] = F.cross_entropy(network(x[test].double()), y[test]).item()
    if scale.reaches("full"):
        found["loss on Tiny Shakespeare"] = next_character_loss(arm, seed, steps=600)
    return found


def exactness(network: nn.Module, x: Tensor) -> dict[str, float]:
    """Relative errors of what the tensor taken at zero says: outputs and gradients, and logits by its eigenvectors."""
    n = x.shape[1]

    def single(row: Tensor) -> Tensor:
        return network(row[None])[0]

    zero = x.new_zeros(n)
    value, slope, curvature = single(zero), jacrev(single)(zero), hessian(single)(zero)
    tensor = x.new_zeros(len(value), n + 1, n + 1)
    tensor[:, :n, :n], tensor[:, n, n] = curvature / 2, value
    tensor[:, :n, n] = tensor[:, n, :n] = slope / 2
    extended = torch.cat([x, x.new_ones(len(x), 1)], dim=1)
    outputs, gradients = network(x), vmap(jacrev(single))(x)
    weights, vectors = torch.linalg.eigh(tensor)
    parts = torch.einsum("ri,oik->rok", extended, vectors).square()
    forms = torch.einsum("oij,ri,rj->ro", tensor, extended, extended)
    slopes = 2 * torch.einsum("oij,rj->roi", tensor, extended)[..., :n]
    logits = torch.einsum("rok,ok->ro", parts, weights)
    return {
        "relative error of the tensor's outputs and gradients": max(
            relative(forms, outputs), relative(slopes, gradients)
        ),
        "relative error of the eigenvectors' logits": relative(logits, outputs),
    }


def relative(found: Tensor, truth: Tensor) -> float:
    """The largest error in relation to the largest entry of the truth."""
    return float((found - truth).abs().max() / truth.abs().max())
