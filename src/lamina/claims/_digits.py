"""Digits as rows of pixels: scikit-learn's at scale quick, MNIST at scale full."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from lamina.data.local import mnist
from lamina.evidence import Scale


def images(seed: int, scale: Scale) -> tuple[Tensor, Tensor, int]:
    """Standardised pixels, classes, and the number of rows that are not for the test."""
    rng = np.random.default_rng(seed)
    if scale is Scale.QUICK:
        x, y = load_digits(return_X_y=True)
        rows = rng.permutation(len(x))
        x, y, test = np.asarray(x)[rows], np.asarray(y)[rows], 1_200
    else:
        parts = []
        for part, size in (("train", 10_000), ("t10k", 5_000)):
            pixels, classes = mnist(part)
            rows = rng.permutation(len(pixels))[:size]
            parts.append((pixels[rows].reshape(-1, 28, 28)[:, 4:-4, 4:-4].reshape(-1, 400), classes[rows]))
        x, y = (np.concatenate(two) for two in zip(*parts, strict=True))
        test = 10_000
    return torch.tensor((x - x.mean()) / x.std(), dtype=torch.float32), torch.from_numpy(y), test
