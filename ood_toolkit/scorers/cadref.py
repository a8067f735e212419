"""CARef and CADRef: Ling, Chang, Zhao, Zhao, Chow and Deng, CVPR 2025, arXiv 2503.00325."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.gen import GEN

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

LEAST = 1e-150
"""Smallest length that is divided by, so that a row of zeros keeps a finite score."""
LOGIT_SCORES = ("energy", "maxlogit", "msp", "gen")
LOWEST = 1e-6
"""Least E, relative to its mean over training images, that is divided by."""


@dataclass
class CARef(Scorer):
    """Negative relative distance from the mean feature of the predicted class, -||h - m_y||_1 / ||h||_1, at most 0.

    m_y (d,) is the mean of the training features that are predicted as y = argmax z, whatever their labels; a class
    that is predicted for none takes the mean of all, and a note says of how many this is true. h is what the head
    multiplies: features under a linear head, unit rows under a zero-shot one. pytorch-ood 0.4.0 does not have it.
    """

    name = "caref"
    group = "classical"
    needs = frozenset({"features", "head", "train"})

    def fit(self, val: Outputs, train: Outputs | None = None) -> CARef:
        """Learn the mean feature of each predicted class."""
        self._learn(given(self, train, "train"))
        return self

    def _learn(self, train: Outputs) -> None:
        import torch

        sums = torch.zeros(train.classes, train[:1].head_input.shape[1], dtype=torch.float64, device=train.device)
        for chunk in train.chunks():
            sums.index_add_(0, chunk.prediction, chunk.head_input.double())
        images = torch.bincount(train.prediction, minlength=train.classes)[:, None]
        self.means_ = torch.where(images > 0, sums / images.clamp(min=1), sums.sum(dim=0) / len(train))  # (k, d)
        lost = int((images == 0).sum())
        said = f"{lost} of {train.classes} classes are predicted for no training image; they take the mean of all"
        self.notes_ = [said] if lost else []

    def score(self, x: Outputs) -> Tensor:
        """Give the negative relative distance (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        apart, length = self._apart(x)
        return -apart.abs().sum(dim=1) / length

    def _apart(self, x: Outputs) -> tuple[Tensor, Tensor]:
        """Give h - m_y (n, d) and ||h||_1 (n,), in float64."""
        rows = x.head_input.double()
        return rows - self.means_[x.prediction], rows.abs().sum(dim=1).clamp(min=LEAST)


@dataclass
class CADRef(CARef):
    """CARef in two parts, -(||(a)_+||_1 / E(z) + ||(-a)_+||_1 / E_train) / ||h||_1, at most 0.

    a = (h - m_y) * sign(w_y): where a > 0 the feature has moved as the weight w_y (d,) of the predicted class points,
    which raises its logit. E(z) is a score of the logits that is above 0, and E_train its mean over training images. An
    image whose E is below a millionth of E_train is taken to have that. m_y and h are those of `caref`. The default of
    E is that of the authors' code. pytorch-ood 0.4.0 does not have it.
    """

    logit_score: str = "energy"
    """E: energy, LSE(z); maxlogit; msp; or gen, one over the generalised entropy of the max(10, K / 10) largest."""

    name = "cadref"
    grid: ClassVar = {"logit_score": LOGIT_SCORES}

    def __post_init__(self) -> None:
        if self.logit_score not in LOGIT_SCORES:
            known = f"{', '.join(LOGIT_SCORES[:-1])} or {LOGIT_SCORES[-1]}"
            raise ScorerError(f"cadref: logit_score: expected {known}, got {self.logit_score!r}")

    def _learn(self, train: Outputs) -> None:
        super()._learn(train)
        self.mean_ = float(train.map(self._logit_score).mean())
        if self.mean_ <= 0:
            raise ScorerError(
                f"cadref: expected training images whose {self.logit_score} is above 0 on average, got "
                f"{self.mean_:.4g}: the quotient would turn the sign; use logit_score=msp"
            )

    def _logit_score(self, x: Outputs) -> Tensor:
        if self.logit_score == "energy":
            return x.logsumexp
        if self.logit_score == "maxlogit":
            return x.max_logit.double()
        if self.logit_score == "msp":
            return x.confidence
        return -1 / GEN(m=max(10, x.classes // 10)).score(x)

    def _score(self, x: Outputs) -> Tensor:
        apart, length = self._apart(x)
        raised = apart * x.head.matrix[x.prediction].sign()  # type: ignore[union-attr]
        certain = self._logit_score(x).clamp(min=LOWEST * self.mean_)
        return -(raised.clamp(min=0).sum(dim=1) / certain + (-raised).clamp(min=0).sum(dim=1) / self.mean_) / length
