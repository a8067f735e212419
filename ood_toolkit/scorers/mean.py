"""One threshold, the mean of the class-wise ones: UST-ETRI seminar on class-specific thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.margin import ClasswiseMargin
from ood_toolkit.scorers.rules import check_rule

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Mean(ClasswiseMargin):
    """Confidence minus one threshold, the unweighted mean over the classes of the thresholds of `classwise`."""

    target: float = 0.95
    """Share of ID validation that each class-wise threshold accepts, where the rule is `tpr` or `conformal`."""
    rule: str = "tpr"
    """tpr, mean, f1, youden or conformal; as of `classwise`."""

    name = "mean"

    def find(self, scores: Tensor, val: Outputs) -> tuple[ndarray, tuple[str, ...]]:
        """Average the class-wise thresholds."""
        from numpy import full

        found = self.by_class(scores, val)
        return full(val.classes, found.values.mean()), (*found.notes, *self._accepts())

    def _accepts(self) -> tuple[str, ...]:
        """Say what the target is a share of."""
        rule = check_rule(self.rule, self.target)
        if rule.kind.rank is None:
            return ()
        return (f"its threshold is the mean of those that accept {rule.aim:.4g} of each predicted class, not of ID",)
