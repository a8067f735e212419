"""`Rows`: what a detector keeps of its calibration images: score, predicted and true class; and p-values from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ood_toolkit.errors import DetectorError
from ood_toolkit.metrics.discoveries import conformal_p_values

__all__ = ["MOST", "Rows", "same_names"]

MOST = 100_000
"""Rows that are kept; of more a uniform sample is drawn, and n is the number kept."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Calibration images, sorted by score."""

    score: np.ndarray
    """(n,) float64, rising: exactly what is compared with the threshold."""
    place: np.ndarray
    """(n,) int32: where each image stood when it was calibrated on, for rules that draw some of them."""
    prediction: np.ndarray | None = None
    """(n,) int32 class indices; None where there are no logits."""
    label: np.ndarray | None = None
    """(n,) int32 class indices, -1 for none of them; None without labels."""

    @classmethod
    def of(cls, score: Any, prediction: Any = None, label: Any = None, seed: int = 0) -> Rows:
        """Sort the images (n,) of a calibration set, of many a sample drawn with the seed."""
        scores = np.asarray(score, dtype=np.float64)
        kept = np.arange(len(scores))
        if len(scores) > MOST:
            kept = np.sort(np.random.default_rng(seed).choice(len(scores), MOST, replace=False))
        order = np.argsort(scores[kept], kind="stable")

        def take(values: Any) -> np.ndarray | None:
            return None if values is None else np.asarray(values)[kept][order].astype(np.int32)

        return cls(scores[kept][order], order.astype(np.int32), take(prediction), take(label))

    def __len__(self) -> int:
        return len(self.score)

    def __post_init__(self) -> None:
        n = len(self.score)
        if self.score.ndim != 1 or n == 0 or not np.isfinite(self.score).all() or (np.diff(self.score) < 0).any():
            raise DetectorError("calibration rows: expected finite scores in rising order")
        if self.place.shape != (n,) or not np.array_equal(np.sort(self.place), np.arange(n)):
            raise DetectorError("calibration rows: expected the place of each row once")
        for name in ("prediction", "label"):
            values = getattr(self, name)
            if values is not None and (values.shape != (n,) or values.dtype.kind != "i" or values.min() < -1):
                raise DetectorError(f"calibration rows: expected one {name} a row")

    @cached_property
    def order(self) -> np.ndarray:
        """Give the rows (n,) in the order in which they were calibrated on."""
        return np.argsort(self.place)

    @property
    def known(self) -> np.ndarray:
        """Tell of which images the class is known, (n,) bool: a prediction of theirs alone can be right or wrong."""
        return np.zeros(len(self), dtype=bool) if self.label is None else self.label >= 0

    def right(self, class_names: Sequence[str] | None) -> np.ndarray | None:
        """Tell which predictions are right, (n,) bool, classes of one name being one class.

        None where no label is known; False for an image whose class is not `known`.
        """
        if self.label is None or self.prediction is None or not self.known.any():
            return None
        same = same_names(class_names, int(max(self.label.max(), self.prediction.max())) + 1)
        right: np.ndarray = same[self.prediction] == same[self.label]
        return right

    def p_values(self, scores: np.ndarray, prediction: np.ndarray | None = None, seed: int | None = None) -> np.ndarray:
        """Give the conformal p-value of each score (m,): small = unlike the calibration images.

        With predictions (m,) each is compared with the calibration images that were predicted as its class.
        """
        if prediction is None:
            return conformal_p_values(self.score, scores, seed)
        if self.prediction is None:
            raise DetectorError("p_values: by predicted class, but the calibration rows hold no predictions")
        found = np.empty(len(scores))
        for c in np.unique(prediction):
            mine = prediction == c
            found[mine] = conformal_p_values(self.score[self.prediction == c], scores[mine], seed)
        return found


def same_names(class_names: Sequence[str] | None, classes: int) -> np.ndarray:
    """Give each class (k + 1,) the number of the first of its name; the last entry, -1, is of no class."""
    names = list(range(classes)) if class_names is None else list(class_names)
    first: dict[Any, int] = {}
    for place, name in enumerate(names):
        first.setdefault(name, place)
    return np.array([*(first[name] for name in names), -1])
