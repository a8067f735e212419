"""fDBD, fast decision boundary based detector: Liu and Qin, ICML 2024, arXiv 2312.11536."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.boundaries import closeness
from ood_toolkit.scorers.families.subspace import centre

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

LEAST = 1e-150
"""Smallest length that is divided by, so that a row of zeros keeps a finite score."""


@dataclass
class FDBD(Scorer):
    """Sum of distances to the decision boundaries, sum_c (z_y - z_c) / ||w_y - w_c||, over ||h - mu||; 0 and above.

    y = argmax z, w_c (d,) are the rows of the head and mu (d,) the mean of the training features. (z_y - z_c) /
    ||w_y - w_c|| is how far h is from where y and c have one logit; classes of equal rows have no boundary between
    them. h is what the head multiplies: features under a linear head, unit rows under a zero-shot one. The paper has
    the mean over the k - 1 other classes, OpenOOD the sum as here: the order is the same.
    """

    normalizer: str = "distance"
    """What is divided by: distance, ||h - mu||, as in the paper, or feature, ||h||, which OpenOOD also tries."""

    name = "fdbd"
    group = "classical"
    needs = frozenset({"features", "head", "train"})
    grid: ClassVar = {"normalizer": ("distance", "feature")}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        if self.normalizer not in ("distance", "feature"):
            raise ScorerError(f"fdbd: normalizer: expected distance or feature, got {self.normalizer!r}")

    def fit(self, val: Outputs, train: Outputs | None = None) -> FDBD:
        """Learn the mean of the training features and the distances between the rows of the head."""
        train = given(self, train, "train")
        self.centre_ = centre(train)  # (d,)
        self.closeness_ = closeness(train.head.matrix)  # type: ignore[union-attr]
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the regularised distances (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        margins = x.max_logit[:, None] - x.logits  # (n, k)
        distances = (margins * self.closeness_[x.prediction]).sum(dim=1).double()
        rows = x.head_input.double()
        apart = rows - self.centre_ if self.normalizer == "distance" else rows
        return distances / apart.norm(dim=1).clamp(min=LEAST)
