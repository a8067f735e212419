"""SHE, simplified Hopfield energy: Zhang et al., ICLR 2023, OpenReview KkazG4lgKL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.gaussians import rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class SHE(Scorer):
    """Inner product of features with the stored pattern of their predicted class, h . m_y, y = argmax z.

    m_c (d,) is the mean of the training features of class c that the model classifies rightly; a class without such
    images takes the mean of all of its images, and one without any the mean of all training images, which favours no
    class; notes say of how many this is true. OpenOOD gives NaN there, pytorch-ood refuses.
    """

    metric: str = "inner"
    """inner as in the paper; euclidean, -||h - m_y||; or cosine."""
    normalise: bool = False
    """Whether to use unit rows in place of the features as the model emitted them; true for CLIP embeddings."""

    name = "she"
    group = "classical"
    needs = frozenset({"features", "logits", "train", "train_labels"})

    def __post_init__(self) -> None:
        if self.metric not in ("inner", "euclidean", "cosine"):
            raise ScorerError(f"she: metric: expected inner, euclidean or cosine, got {self.metric!r}")

    def fit(self, val: Outputs, train: Outputs | None = None) -> SHE:
        """Learn one pattern a class."""
        import torch

        train = given(self, train, "train")
        if train.labels is None or train.right is None or not (train.labels >= 0).any():
            raise ScorerError("she: needs train_labels, training images of at least one class")
        sums, counts = self._sums(train, train.right & (train.labels >= 0))
        all_sums, images = self._sums(train, train.labels >= 0)
        absent = images == 0
        lost = (counts == 0) & ~absent
        means = sums / counts.clamp(min=1)[:, None]
        means = torch.where(lost[:, None], all_sums / images.clamp(min=1)[:, None], means)
        self.patterns_ = torch.where(absent[:, None], all_sums.sum(dim=0) / images.sum(), means)
        told = (
            (lost, "no rightly classified training image; they take the mean of all of theirs"),
            (absent, "no training image; they take the mean of all training images"),
        )
        self.notes_ = [f"{int(n.sum())} of {train.classes} classes have {what}" for n, what in told if n.any()]
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give how near the pattern of the predicted class is, (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        rows, patterns = self._rows(x).double(), self.patterns_[x.prediction]  # (n, d)
        if self.metric == "euclidean":
            return -(rows - patterns).norm(dim=1)
        if self.metric == "cosine":
            return torch.cosine_similarity(rows, patterns, dim=1)
        return (rows * patterns).sum(dim=1)

    def _rows(self, x: Outputs) -> Tensor:
        return rows_of(x, self.normalise)

    def _sums(self, train: Outputs, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Give the sums of the chosen features of each class, (k, d), and how many they are, (k,)."""
        import torch

        sums, counts = torch.zeros(1).double(), torch.zeros(train.classes, dtype=torch.float64, device=train.device)
        start = 0
        for chunk in train.chunks():
            here = chosen[start : start + len(chunk)]
            start += len(chunk)
            rows, labels = self._rows(chunk)[here].double(), chunk.labels[here]  # type: ignore[index]
            sums = sums.to(rows) + torch.zeros(len(counts), rows.shape[1]).to(rows).index_add_(0, labels, rows)
            counts += torch.bincount(labels, minlength=len(counts))
        return sums, counts
