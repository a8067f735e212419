"""LTS, logit scaling: Djurisic, Liu and Nikolic, Machine Vision and Applications 2025, arXiv 2409.01175."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.activations import Shaped, check_percentile, kept, sum_ratio

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs.head import Head


@dataclass
class LTS(Shaped):
    """Energy of scaled logits, logsumexp(s z), s = (sum(h+) / sum of the t largest entries of h+)^2, h+ = max(h, 0).

    z (n, k) = W h + b, bias included; t = d - round(d percentile / 100), at least 1. The paper writes h where its code
    writes h+; the two differ on signed features only, of which `signed=allow` keeps the negative part for z, as the
    code does. s lies from 1 to (d / t)^2, and is 1 where no feature is above 0.
    """

    percentile: float = 95.0
    """Share of the features that does not count as largest, in percent: 100 (1 - p) with the paper's p = 5 %."""

    name = "lts"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self, "percentile")

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the scaled logits."""
        ratio = sum_ratio(rows.clamp(min=0), kept(rows.shape[1], self.percentile))
        return head.apply(rows).double() * ratio.square()[:, None]
