"""KL matching: Hendrycks et al., ICML 2022, arXiv 1911.11132."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

LEAST = 1e-38
"""Least probability of a typical distribution, about the least that a float32 softmax gives."""


@dataclass
class KLMatching(Scorer):
    """Negative divergence from the nearest typical distribution, -min_c KL(p || q_c), at most 0 but for rounding.

    p (n, k) = softmax(z); q_c (k,) is the mean of p over the ID validation images *predicted* c, labels are not used,
    and the one-hot e_c where there are none, as OpenOOD has it; pytorch-ood 0.4.0 leaves such classes out. With
    KL(p || q) = sum_j p_j log p_j - sum_j p_j log q_j all classes are one product, p (n, k) with log q (k, k); it says
    which class is the nearest, and the divergence from that one is taken in float64. q is kept above 1e-38, where
    OpenOOD has an infinite divergence.
    """

    name = "klm"
    group = "classical"
    needs = frozenset({"logits", "val"})

    def fit(self, val: Outputs, train: Outputs | None = None) -> KLMatching:
        """Learn the logarithms of the typical distributions."""
        import torch

        val = given(self, val, "val")
        sums = torch.zeros(val.classes, val.classes, dtype=torch.float64, device=val.device)
        for chunk in val.chunks():
            sums.index_add_(0, chunk.prediction, chunk.probs.double())
        count = torch.bincount(val.prediction, minlength=val.classes)
        typical = torch.eye(val.classes).to(sums).where((count == 0)[:, None], sums / count.clamp(min=1)[:, None])
        self.log_typical_ = typical.clamp(min=LEAST).log()  # (k, k), one class a row
        empty = int((count == 0).sum())
        said = f"{empty} of {val.classes} classes are predicted for no validation image; their distribution is one-hot"
        self.notes_ = [said] if empty else []
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the negative divergence (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        nearest = (x.probs @ self.log_typical_.to(x.probs).T).argmax(dim=1)
        return x.entropy + torch.linalg.vecdot(x.probs.double(), self.log_typical_[nearest])
