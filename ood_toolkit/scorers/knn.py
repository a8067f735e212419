"""KNN, deep nearest neighbours: Sun, Ming, Zhu and Li, ICML 2022, arXiv 2204.06507."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.errors import ScorerError
from ood_toolkit.scorer import Scorer, given, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

BANK_ROWS = 8192
"""Training rows that one product compares with."""


@dataclass
class KNN(Scorer):
    """Negative squared distance of unit rows h to the k-th nearest training row, -||h - h_(k)||^2, in [-4, 0].

    The reference code ranks by the same squared L2 distances of normalised features, with an exact search as here.
    """

    k: int = 50
    """Which neighbour."""

    name = "knn"
    group = "classical"
    needs = frozenset({"features", "train"})

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
        neighbour = self.bank_[self._neighbour(x.embeddings)].double()
        return -(x.embeddings.double() - neighbour).square().sum(dim=1)

    def _neighbour(self, embeddings: Tensor) -> Tensor:
        """Find the place in the bank of the k-th nearest row, (n,), with a running top-k over blocks of the bank."""
        import torch

        cosine, place = (
            embeddings.new_empty(len(embeddings), 0),
            embeddings.new_empty(len(embeddings), 0).long(),
        )
        for start in range(0, len(self.bank_), BANK_ROWS):
            block = embeddings @ self.bank_[start : start + BANK_ROWS].to(embeddings).T  # (n, at most BANK_ROWS)
            near, where = block.topk(min(self.k, block.shape[1]), dim=1)
            cosine, place = torch.cat([cosine, near], dim=1), torch.cat([place, where + start], dim=1)
            cosine, order = cosine.topk(min(self.k, cosine.shape[1]), dim=1)
            place = place.gather(1, order)
        return place[:, -1]
