"""Class-wise thresholds: Guarrera et al., CVPRW 2022, arXiv 2110.15292; with confidence or entropy, UST-ETRI."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.scorers.entropy import Entropy
from ood_toolkit.scorers.families.margin import ClasswiseMargin

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Classwise(ClasswiseMargin):
    """Confidence minus the threshold of the predicted class; each class has its own threshold, from ID validation.

    With rule `tpr`, theta_c is the ceil(target n_c)-th largest score among the n_c validation images predicted c.
    """

    rule: str = "tpr"
    """tpr, mean, f1, youden, conformal or pac; or "risk:target=0.02:delta=0.1", "cost:error=10:reject=1"."""
    target: float = 0.95
    """Share of ID that `tpr`, `conformal` and `pac` accept."""

    name = "classwise"

    def find(self, scores: Tensor, val: Outputs) -> tuple[ndarray, tuple[str, ...]]:
        """Apply the rule to the images predicted as each class."""
        found = self.by_class(scores, val)
        return found.values, found.notes


@dataclass
class ClasswiseEntropy(Classwise):
    """Negative normalised entropy minus the threshold of the predicted class: as `classwise`, on -H(p) / log K."""

    base: Scorer = field(default_factory=lambda: Entropy(normalised=True))
    """The score that is compared with the thresholds."""

    name = "classwise-entropy"
