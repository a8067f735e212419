"""GEN, generalised entropy: Liu, Lochman and Zach, CVPR 2023 (no arXiv version)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class GEN(Scorer):
    """Negative generalised entropy of the M largest probabilities, -sum_{m <= M} (p_m (1 - p_m))^gamma, at most 0.

    p (n, k) = softmax(z); with M >= K all probabilities count. Computed from log p and from the complement of the
    largest probability, so that no image is called exactly certain; the reference code computes 1 - p as it stands.
    pytorch-ood 0.4.0 takes the mean over M in place of the sum and clamps p to [1e-7, 1 - 1e-7].
    """

    gamma: float = 0.1
    """Exponent; the smaller, the more tiny probabilities count."""
    m: int = 100
    """M, how many of the largest probabilities count."""

    name = "gen"
    group = "classical"
    needs = frozenset({"logits"})
    grid: ClassVar = {"gamma": (0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0), "m": (10, 50, 100, 200, 500, 1000)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        positive(self, "gamma", "m")

    def score(self, x: Outputs) -> Tensor:
        """Give the negative generalised entropy (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        rest = x.softmax.rest  # (n,), p of the largest is 1 / (1 + rest)
        largest = (rest.log() - 2 * rest.log1p()) * self.gamma
        below = self._below(x) - rest.log1p().to(x.logits)[:, None]  # log p of the others
        others = (self.gamma * (below + (-below.exp()).log1p())).exp().sum(dim=1)
        return -(largest.exp() + others.double())

    def _below(self, x: Outputs) -> Tensor:
        """Give how far the other counted logits lie below the largest, (n, at most k), minus infinity: not counted."""
        if self.m < x.classes:
            return x.top_logits(self.m)[:, 1:] - x.softmax.largest[:, None]
        return x.softmax.shifted.scatter(1, x.softmax.index[:, None], -float("inf"))
