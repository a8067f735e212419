"""NNGuide, nearest neighbour guidance: Park, Jung and Teoh, ICCV 2023, arXiv 2309.14888."""

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
class NNGuide(Scorer):
    """Energy times guidance, LSE(z) * mean over the k nearest of (h^ . h^_i) LSE(z_i), of any sign.

    h^ (d,) are unit rows and z (k,) logits; i runs over a bank drawn from the training images. The nearest are those
    with the largest products with the energy-scaled rows LSE(z_i) h^_i, not with the largest cosines. Where energies
    are negative the product of two signs makes an unsure image look sure: meant for logits whose LSE is above 0, as
    those of trained classifiers and of CLIP at its own scale are. OpenOOD keeps whole batches until the share is full
    and looks no further for k than the bank goes; pytorch-ood takes the whole training set and k = 10. The defaults are
    OpenOOD's, k = 100 of a bank of 1 % of the shuffled training images; the authors' own scripts were not read.
    """

    k: int = 100
    """How many neighbours are averaged."""
    alpha: float = 0.01
    """Share of the training images in the bank, which never has fewer than k."""
    seed: int = 0
    """Draws the bank."""

    name = "nnguide"
    group = "classical"
    needs = frozenset({"features", "logits", "train"})
    grid: ClassVar = {"k": (100, 10), "alpha": (0.01, 1.0)}
    """OpenOOD's values, then pytorch-ood's."""

    def __post_init__(self) -> None:
        positive(self, "k", "alpha")
        if self.alpha > 1:
            raise ScorerError(f"nnguide: alpha: expected a share, at most 1, got {self.alpha!r}")

    def fit(self, val: Outputs, train: Outputs | None = None) -> NNGuide:
        """Keep the unit rows of some training images, each times its energy."""
        import torch

        train = given(self, train, "train")
        if len(train) < self.k:
            raise ScorerError(f"nnguide: k={self.k}, but there are only {len(train)} training images; lower k")
        rows = max(self.k, int(len(train) * self.alpha))
        if rows < len(train):
            draw = torch.Generator().manual_seed(self.seed)
            train = train[torch.randperm(len(train), generator=draw)[:rows].sort().values]
        self.bank_ = train.map(lambda chunk: chunk.embeddings * chunk.logsumexp[:, None].to(chunk.embeddings))  # (m, d)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give energy times guidance (n,)."""
        return x.map(lambda chunk: nearest(chunk.embeddings, self.bank_, self.k)[0].double().mean(1) * chunk.logsumexp)
