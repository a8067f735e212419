"""ReAct, rectified activations: Sun, Guo and Li, NeurIPS 2021, arXiv 2111.12797."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import given
from ood_toolkit.scorers.families.activations import Shaped, check_percentile, entries

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head


@dataclass
class ReAct(Shaped):
    """Energy after clipping the features, logsumexp(W min(h, c) + b), with h (n, d), W (k, d), b (k,).

    c is one number, the percentile over all entries of the ID validation features, as OpenOOD has it (linear between
    the two nearest); pytorch-ood 0.4.0 takes it from training features.
    """

    percentile: float = 90.0
    """Of the entries of ID validation features, in percent."""

    name = "react"
    calibration_folds = 2
    fits_on = frozenset({"val"})
    grid: ClassVar = {"percentile": (85.0, 90.0, 95.0, 99.0)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self, "percentile")

    def fit(self, val: Outputs, train: Outputs | None = None) -> ReAct:
        """Find the number to clip at."""
        from numpy import percentile

        values = entries(self, given(self, val, "val"))
        self.clip_ = float(percentile(values.cpu().numpy(), self.percentile))
        return self

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the clipped rows."""
        return head.apply(rows.clamp(max=self.clip_))
