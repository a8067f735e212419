"""KNN, deep nearest neighbours: Sun, Ming, Zhu and Li, ICML 2022, arXiv 2204.06507."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, given, positive
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.neighbours import nearest

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class KNN(Scorer):
    """Negative squared distance of unit rows h to the k-th nearest training row, -||h - h_(k)||^2, in [-4, 0].

    The reference code ranks by the same squared L2 distances of normalised features, with an exact search as here. The
    authors take k = 50 on CIFAR and k = 1000 on the whole of ImageNet.
    """

    k: int = 50
    """Which neighbour."""

    name = "knn"
    group = "classical"
    needs = frozenset({"features", "train"})
    grid: ClassVar = {"k": (50, 100, 200, 500, 1000)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        positive(self, "k")

    def fit(self, val: Outputs, train: Outputs | None = None) -> KNN:
        """Keep the unit rows of the training images."""
        train = given(self, train, "train")
        if len(train) < self.k:
            raise ScorerError(f"knn: k={self.k}, but there are only {len(train)} training images; lower k")
        self.bank_ = train.map(lambda chunk: chunk.embeddings)  # (n_train, d)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the negative squared distance (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        place = nearest(x.embeddings, self.bank_, self.k)[1][:, -1]
        # Products find the neighbour; the difference keeps the digits of a small distance.
        return -(x.embeddings.double() - self.bank_[place].double()).square().sum(dim=1)
