"""NCI, neural collapse inspired detector: Liu and Qin, CVPR 2025, arXiv 2311.01479."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, given, not_negative
from ood_toolkit.scorers.families.subspace import centre

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class NCI(Scorer):
    """How far features point along the weight of their predicted class, w_y . (h - mu) / ||h - mu|| + alpha ||h||_1.

    y = argmax z, w_y (d,) is the row of the head that predicts it, and mu (d,) the mean of the training features; of
    any sign. h is what the head multiplies: features under a linear head, unit rows under a zero-shot one, whose w_y
    are the texts times the scale. Formula and alpha as in OpenOOD, which chooses alpha from 1e-4 to 0.1 with OOD
    validation images; pytorch-ood leaves the last term out unless alpha is given.
    """

    alpha: float = 1e-4
    """Weight of the L1 norm, 0 or above."""

    name = "nci"
    group = "classical"
    needs = frozenset({"features", "head", "train"})
    grid: ClassVar = {"alpha": (1e-4, 1e-3, 1e-2, 1e-1)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        not_negative(self, "alpha")

    def fit(self, val: Outputs, train: Outputs | None = None) -> NCI:
        """Learn the mean of the training features."""
        self.centre_ = centre(given(self, train, "train"))  # (d,)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give alignment plus weighted norm (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        rows = x.head_input.double()
        apart = rows - self.centre_
        length = apart.norm(dim=1)
        along = (x.head.matrix[x.prediction] * apart).sum(dim=1)  # type: ignore[union-attr]
        return along / length.where(length > 0, 1.0) + self.alpha * rows.abs().sum(dim=1)
