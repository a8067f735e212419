"""One threshold, the mean of the class-wise ones: UST-ETRI seminar on class-specific thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.margin import Margin
from ood_toolkit.scorers.thresholds import NEEDS_RIGHT, check_rule, class_thresholds

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Mean(Margin):
    """Confidence minus one threshold, the unweighted mean over the classes of the thresholds of `classwise`."""

    target: float = 0.95
    """Share of ID validation that each class-wise threshold accepts, where the rule is `tpr` or `conformal`."""
    rule: str = "tpr"
    """tpr, mean, f1, youden or conformal; as of `classwise`."""

    name = "mean"

    def __post_init__(self) -> None:
        check_rule(self.rule, self.target)

    @property
    def needs(self) -> frozenset[str]:
        """What the base score needs, ID validation, and its labels where the rule compares right with wrong."""
        return super().needs | ({"val_labels"} if check_rule(self.rule).name in NEEDS_RIGHT else set())

    def find(self, scores: Tensor, val: Outputs) -> tuple[ndarray, tuple[str, ...]]:
        """Average the class-wise thresholds."""
        from numpy import full

        found = class_thresholds(check_rule(self.rule, self.target), scores, val.prediction, val.classes, val.right)
        return full(val.classes, found.values.mean()), (*found.notes, *self._accepts())

    def _accepts(self) -> tuple[str, ...]:
        """Say what the target is a share of."""
        rule = check_rule(self.rule, self.target)
        if rule.name not in ("tpr", "conformal", "pac"):
            return ()
        return (f"its threshold is the mean of those that accept {rule.share:.4g} of each predicted class, not of ID",)
