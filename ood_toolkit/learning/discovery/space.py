"""`Space`: embeddings seen through the spread of the training images, in which new classes lie further apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs.head import Head

__all__ = ["POWER", "SHRINKAGE", "Space"]

SHRINKAGE = 1e-3
"""Share of the mean variance that is added to each direction's, so that none is divided by nearly nothing."""
POWER = 0.75
"""To which power of its deviation a direction is divided: 1 makes all alike, 0 leaves them; see docs/discover.md."""


@dataclass(frozen=True, eq=False)
class Space:
    """A whitening, (e - mean) @ matrix, learned on the embeddings of ID training images without their labels.

    The directions in which known images differ much, which is what the model learnt to tell apart, count for less.
    Without it images of several new classes, which the model never had to tell apart, lie in one heap.
    """

    mean: np.ndarray
    """(d,) float64."""
    matrix: np.ndarray
    """(d, d) float64: eigenvectors of the covariance, each divided by its deviation to a power."""

    @classmethod
    def of(cls, embeddings: np.ndarray, power: float = POWER) -> Space:
        """Learn from unit rows (n, d); `OutputsError` where they do not differ."""
        rows = np.asarray(embeddings, dtype=np.float64)
        mean = rows.mean(axis=0)
        values, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        spread = float(values.mean())
        if not spread > 0:
            raise OutputsError(f"space: expected training embeddings that differ, got {len(rows)} equal ones")
        return cls(mean, vectors * (np.maximum(values, 0) + SHRINKAGE * spread) ** (-power / 2))

    def white(self, embeddings: np.ndarray) -> np.ndarray:
        """Give (n, d) float64 rows whose spread over the training images is less uneven."""
        white: np.ndarray = (np.asarray(embeddings, dtype=np.float64) - self.mean) @ self.matrix
        return white

    def unit(self, embeddings: np.ndarray) -> np.ndarray:
        """Give the same rows with length 1, which are compared by their angle."""
        white = self.white(embeddings)
        length = np.linalg.norm(white, axis=1, keepdims=True)
        unit: np.ndarray = white / np.where(length > 0, length, 1.0)
        return unit

    def folded(self, head: Head) -> Head:
        """Turn a linear head on rows of this space into one on embeddings that gives the same logits."""
        weight = head.weight.double().cpu().numpy() @ self.matrix.T
        bias = head.bias.double().cpu().numpy() - weight @ self.mean
        return Head.linear(weight.astype(np.float32), bias.astype(np.float32), head.class_names, unit_rows=True)
