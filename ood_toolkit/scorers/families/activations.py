"""`Shaped`: what scores share that change the features in front of the head and take the energy of what comes out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs
    from ood_toolkit.outputs.head import Head

SIGNED = ("refuse", "rectify", "allow")
LARGEST = 500.0
"""Largest exponent of a factor; float64 ends at 709, and the logits it multiplies need room too."""


@dataclass
class Shaped(Scorer):
    """Logsumexp, (n,) float64, of the logits that come of changed features, or of a changed head.

    The features are those that the head multiplies: as they are under a linear head, unit rows under a zero-shot one.
    These methods were made for features behind a ReLU; signed ones, as CLIP's, are refused unless `signed` says what
    to do with them.
    """

    signed: str = "refuse"
    """With numbers below 0 among the features: refuse them, rectify (they become 0), or allow (used as they are)."""

    group = "classical"
    fits_on: ClassVar[frozenset[str]] = frozenset()
    """What `fit` needs."""

    def __post_init__(self) -> None:
        if self.signed not in SIGNED:
            raise ScorerError(f"{self.name}: signed: expected refuse, rectify or allow, got {self.signed!r}")

    @property
    def needs(self) -> frozenset[str]:
        """Features and a head, what `fit` needs, and features of at least 0 where signed ones are refused."""
        refused = {"nonnegative_features"} if self.signed == "refuse" else set()
        return frozenset({"features", "head"} | refused) | self.fits_on

    def score(self, x: Outputs) -> Tensor:
        """Give the energy of the changed logits (n,)."""
        return x.map(self._score)

    def rows(self, x: Outputs) -> Tensor:
        """Give what the head multiplies, (n, d), after `signed`."""
        rows = x.head_input
        if self.signed == "rectify":
            return rows.clamp(min=0)
        if self.signed == "refuse" and not x.has_nonnegative_features:
            raise ScorerError(
                f"{self.name}: features: expected numbers of at least 0, got {float(rows.min()):.3g}; "
                "pass signed=rectify to make those below 0 zero, or signed=allow to use them as they are"
            )
        return rows

    @abstractmethod
    def logits(self, rows: Tensor, head: Head) -> Tensor:
        """Give the changed logits (n, k) of rows (n, d)."""

    def _score(self, x: Outputs) -> Tensor:
        from ood_toolkit.outputs.softmax import Softmax

        rows = self.rows(x)  # an error without a head
        return Softmax(self.logits(rows, cast("Head", x.head))).logsumexp


def check_percentile(scorer: Scorer, *names: str) -> None:
    """Refuse percentiles outside 0 to 100."""
    for name in names:
        value = getattr(scorer, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ScorerError(f"{scorer.name}: {name}: expected a number from 0 to 100, got {value!r}")


def entries(scorer: Shaped, split: Outputs) -> Tensor:
    """Give the rows of a whole split (n, d), of which percentiles are taken."""
    return split.map(scorer.rows)


def kept(width: int, percentile: float) -> int:
    """Say how many of so many features lie above the percentile: width - round(width percentile / 100), at least 1."""
    return max(1, width - round(width * percentile / 100))


def sum_ratio(rows: Tensor, count: int) -> Tensor:
    """Give the sum of each row over the sum of its `count` largest numbers, (n,) float64; 1 for a row of zeros.

    Of rows of at least 0 it lies from 1 to width / count. Signed rows are held to that size, since their sums may
    cancel to nearly 0.
    """
    most = rows.shape[1] / count
    ratio = rows.double().sum(dim=1) / rows.topk(count, dim=1).values.double().sum(dim=1)
    return ratio.clamp(min=-most, max=most).nan_to_num(nan=1.0)


def enlarged(rows: Tensor, head: Head, exponent: Tensor) -> Tensor:
    """Give the logits (n, k) float64 of rows (n, d) times exp(exponent) (n,); only the product is enlarged."""
    product = (rows @ head.matrix.to(rows).T).double()
    return product * exponent.clamp(max=LARGEST).exp()[:, None] + head.bias.double()
