"""VRA, variational rectified activation: Xu, Lian, Liu and Tao, NeurIPS 2023, arXiv 2302.11716."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import given
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.activations import Shaped, check_percentile, entries

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head


@dataclass
class VRA(Shaped):
    """Energy after pulling in the features from both sides, logsumexp(W g(h) + b), with h (n, d), W (k, d), b (k,).

    With l and u the low and the high percentile over all entries of the ID validation features, g(h) is u above u and h
    between; below l it is l with `below=clip`, which is OpenOOD's code and the default. The authors' code is
    `below=zero:per_feature=true`: what lies below l becomes 0, and each feature has percentiles of its own. pytorch-ood
    0.4.0 clips with percentiles of each feature, by default 1 and 99.
    """

    low: float = 10.0
    """Lower percentile, in percent."""
    high: float = 90.0
    """Upper percentile, in percent."""
    below: str = "clip"
    """What becomes of features below the lower one: clip or zero."""
    per_feature: bool = False
    """Whether each feature has its own two numbers."""

    name = "vra"
    calibration_folds = 2
    fits_on = frozenset({"val"})
    grid: ClassVar = {"low": (1.0, 5.0, 10.0, 15.0), "high": (85.0, 90.0, 95.0, 99.0)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self, "low", "high")
        if self.low > self.high:
            raise ScorerError(f"vra: low: expected at most high, {self.high:g}, got {self.low:g}")
        if self.below not in ("clip", "zero"):
            raise ScorerError(f"vra: below: expected clip or zero, got {self.below!r}")

    def fit(self, val: Outputs, train: Outputs | None = None) -> VRA:
        """Find the numbers to pull in to, (1,) or one for each feature (d,)."""
        import torch
        from numpy import percentile

        values = entries(self, given(self, val, "val"))
        shape = values.shape if self.per_feature else (values.numel(), 1)
        found = percentile(values.reshape(shape).cpu().numpy(), [self.low, self.high], axis=0)
        self.low_, self.high_ = torch.from_numpy(found).to(values)
        return self

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the rows that were pulled in."""
        low, high = self.low_.to(rows), self.high_.to(rows)
        if self.below == "clip":
            return head.apply(rows.clamp(min=low, max=high))
        return head.apply(rows.clamp(max=high).where(rows >= low, 0.0))
