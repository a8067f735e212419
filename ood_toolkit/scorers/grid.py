"""One threshold by grid search: UST-ETRI seminar on class-specific thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.margin import Margin
from ood_toolkit.scorers.thresholds import grid_threshold

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Grid(Margin):
    """Confidence minus the threshold with the best balanced accuracy of right against wrong on ID validation.

    101 points over the range of the base score (0 to 1 for confidence, else least to largest validation score), ties
    to the lower threshold.
    """

    name = "grid"

    @property
    def needs(self) -> frozenset[str]:
        """What the base score needs, and labelled ID validation."""
        return super().needs | {"val_labels"}

    def find(self, scores: Tensor, val: Outputs) -> tuple[ndarray, tuple[str, ...]]:
        """Search the grid."""
        from numpy import full

        found, notes = grid_threshold(scores, val.right, self.base.bounds)
        return full(val.classes, found), notes
