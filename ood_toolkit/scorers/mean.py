"""One threshold, the mean of the class-wise ones: UST-ETRI seminar on class-specific thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.margin import Margin
from ood_toolkit.thresholds import check_rule, class_thresholds

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Mean(Margin):
    """Confidence minus one threshold, the unweighted mean over the classes of their `tpr` thresholds."""

    target: float = 0.95
    """Share of ID validation that each class-wise threshold accepts."""

    name = "mean"

    def __post_init__(self) -> None:
        check_rule("tpr", self.target)

    def find(self, scores: Tensor, val: Outputs) -> tuple[ndarray, tuple[str, ...]]:
        """Average the class-wise thresholds."""
        found = class_thresholds("tpr", scores, val.prediction, val.classes, target=self.target)
        return found.values * 0 + found.values.mean(), found.notes
