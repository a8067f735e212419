"""ASH, activation shaping: Djurisic, Bozanic, Ashok and Liu, ICLR 2023, arXiv 2209.09858."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.scorers.families.activations import Shaped, check_percentile, enlarged, kept, sum_ratio

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs.head import Head


@dataclass
class ASHP(Shaped):
    """ASH-P, prune: logsumexp(W p(h) + b); p(h) keeps the t largest entries of h (d,), the rest become 0.

    t = d - round(d percentile / 100), at least 1, for each image by itself. The authors' functions have 65 as the
    default percentile, and shape the features after pooling as here; other layers need the network.
    """

    percentile: float = 65.0
    """Share of the features that is pruned, in percent."""

    name = "ash-p"
    grid: ClassVar = {"percentile": (65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0)}
    """What OpenOOD searches for ASH-B."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_percentile(self, "percentile")

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the pruned rows."""
        return head.apply(_pruned(rows, kept(rows.shape[1], self.percentile)))


@dataclass
class ASHB(ASHP):
    """ASH-B, binarise: as ASH-P, but each kept entry becomes sum(h) / t, so that the sum of the row stays.

    The authors' functions have 65 as the default percentile; OpenOOD runs ASH-B at 90. Which of several equal entries
    are kept is open in the definition, and matters where fewer than t are above 0.
    """

    name = "ash-b"

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the binarised rows."""
        count = kept(rows.shape[1], self.percentile)
        mean = rows.sum(dim=1, keepdim=True) / count
        place = rows.topk(count, dim=1).indices
        return head.apply(rows.new_zeros(rows.shape).scatter(1, place, mean.expand(-1, count)))


@dataclass
class ASHS(ASHP):
    """ASH-S, scale: as ASH-P, but the kept entries are multiplied by exp(sum(h) / sum(kept)).

    The authors run it at 90 on ImageNet and at 95 on CIFAR. Under `signed=allow` the ratio is held between -d / t and
    d / t, its bounds on features of at least 0; an exponent never exceeds 500.
    """

    percentile: float = 90.0
    """Share of the features that is pruned, in percent."""

    name = "ash-s"

    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the logits of the pruned and enlarged rows."""
        count = kept(rows.shape[1], self.percentile)
        return enlarged(_pruned(rows, count), head, sum_ratio(rows, count))


def _pruned(rows: Tensor, count: int) -> Tensor:
    largest, place = rows.topk(count, dim=1)
    return rows.new_zeros(rows.shape).scatter(1, place, largest)
