"""SCALE: Xu, Chen, Franchi and Yao, ICLR 2024, arXiv 2310.00227."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.scorers.families.activations import Shaped, check_percentile, enlarged, kept, sum_ratio

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs.head import Head


@dataclass
class SCALE(Shaped):
    """Energy of enlarged features, logsumexp(exp(r) W h + b), r = sum(h) / sum of the t largest entries of h (d,).

    t = d - round(d percentile / 100), at least 1; unlike ASH-S nothing is pruned. Under `signed=allow` r is held
    between -d / t and d / t, its bounds on features of at least 0; an exponent never exceeds 500. The default
    percentile is OpenOOD's; that of pytorch-ood 0.4.0 is 65.
    """

    percentile: float = 85.0
    """Share of the features that does not count as largest, in percent."""

    name = "scale"
    grid: ClassVar = {"percentile": (65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self, "percentile")

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the enlarged rows."""
        return enlarged(rows, head, sum_ratio(rows, kept(rows.shape[1], self.percentile)))
