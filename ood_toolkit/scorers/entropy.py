"""Entropy: the Shannon entropy of the softmax as uncertainty, as in Macêdo et al., arXiv 1908.05569."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Entropy(Scorer):
    """Negative entropy in nats, sum_k p_k log p_k, in [-log K, 0]; divided by log K, in [-1, 0], when normalised."""

    normalised: bool = False
    """Whether to divide by log K, so that thresholds do not depend on the number of classes."""

    name = "entropy"
    group = "classical"
    needs = frozenset({"logits"})

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and largest score where they do not depend on K."""
        return (-1.0, 0.0) if self.normalised else None

    def score(self, x: Outputs) -> Tensor:
        """Give the negative entropy (n,)."""
        if self.normalised and x.classes > 1:
            return -x.entropy / log(x.classes)
        return -x.entropy
