"""Heads: between the target of a task and the outputs of a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """How a network's outputs are read.

    A classification has one logit per class, read by softmax. A regression has one output, the target standardised
    by the training part; predictions are kept within the range of the training part's targets, since a network
    that extrapolates on an unusual row can miss by any amount.

    Attributes:
        classes: number of classes, 0 for a regression.
        mean, scale: of the training part's targets.
        low, high: their range.
    """

    classes: int = 0
    mean: float = 0.0
    scale: float = 1.0
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def fit(cls, y: np.ndarray, classes: int) -> Head:
        """The head for the training part's targets `y`: codes of so many `classes`, or values when it is 0."""
        if classes:
            return cls(classes)
        return cls(0, float(y.mean()), float(y.std()) or 1.0, float(y.min()), float(y.max()))

    @property
    def outputs(self) -> int:
        """The number of outputs that a network needs."""
        return self.classes or 1

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Targets as the losses take them: codes as int64, values standardised as float32."""
        return y.astype(np.int64) if self.classes else ((y - self.mean) / self.scale).astype(np.float32)

    def decode(self, outputs: Tensor) -> np.ndarray:
        """Predictions from outputs (..., rows, outputs): probabilities (..., rows, classes), or values (..., rows)."""
        if self.classes:
            return torch.softmax(outputs.cpu().double(), dim=-1).numpy()
        return np.clip(outputs.cpu().double().squeeze(-1).numpy() * self.scale + self.mean, self.low, self.high)

    def loss(self, y: np.ndarray, prediction: np.ndarray) -> float:
        """Mean loss of predictions, as in training: cross-entropy, or squared error in standardised units."""
        if self.classes:
            likelihood = np.take_along_axis(prediction, y[:, None], axis=1)
            return float(-np.log(np.clip(likelihood, 1e-7, 1.0)).mean())
        return float(np.mean(((y - prediction) / self.scale) ** 2))

    def to_dict(self) -> dict[str, float]:
        """The head as plain numbers, for JSON."""
        return asdict(self)
