"""Relation, neural relation graph: Kim, Yun and Song, NeurIPS 2023, arXiv 2301.12321."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, given, positive

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

BANK_ROWS = 2048
"""Training rows that one product compares with."""


@dataclass
class Relation(Scorer):
    """How strongly an image is tied to the training images, the sum over them of r_i^power where r_i > cutoff.

    r_i = max(h^ . h^_i, 0) (p . p_i) in [0, 1]; h^ (d,) are unit rows, p (k,) the softmax of the logits; 0 and above.
    The cutoff makes a jump of that size where a relation lies within the rounding of the products, which is float32
    for float32 outputs. Formula and defaults as in OpenOOD, which took them from the authors' code.
    """

    power: float = 1.0
    """Exponent of a relation."""
    cutoff: float = 0.03
    """Relations not above this do not count."""

    name = "relation"
    group = "classical"
    needs = frozenset({"features", "logits", "train"})
    grid: ClassVar = {"power": (1.0, 2.0, 4.0, 6.0, 8.0)}
    """What OpenOOD searches."""

    def __post_init__(self) -> None:
        positive(self, "power", "cutoff")

    def fit(self, val: Outputs, train: Outputs | None = None) -> Relation:
        """Keep unit rows and probabilities of the training images."""
        train = given(self, train, "train")
        self.bank_ = train.map(lambda chunk: chunk.embeddings)  # (n_train, d)
        self.probs_ = train.map(lambda chunk: chunk.probs.to(chunk.embeddings))  # (n_train, k)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the sum of the relations (n,) float64."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        rows, probs = x.embeddings, x.probs.to(x.embeddings)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for start in range(0, len(self.bank_), BANK_ROWS):
            block = slice(start, start + BANK_ROWS)
            relation = rows @ self.bank_[block].to(rows).T  # (n, at most BANK_ROWS); negative ends below the cutoff
            relation *= probs @ self.probs_[block].to(rows).T
            relation *= relation > self.cutoff
            total += (relation if self.power == 1 else relation**self.power).sum(dim=1)
        return total
