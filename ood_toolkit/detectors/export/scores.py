"""`score_of`: a fitted scorer as a torch module whose operations ONNX knows, in float64 behind the features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log

import torch
from torch import Tensor, nn

from ood_toolkit.api.scorer import Scorer
from ood_toolkit.errors import DetectorError
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.energy import Energy
from ood_toolkit.scorers.entropy import Entropy
from ood_toolkit.scorers.families.margin import JUST_BELOW, Margin
from ood_toolkit.scorers.families.negatives import LARGEST
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.mahalanobis import Mahalanobis
from ood_toolkit.scorers.maxlogit import MaxLogit
from ood_toolkit.scorers.mcm import MCM
from ood_toolkit.scorers.msp import MSP
from ood_toolkit.scorers.neglabel import NegLabel

__all__ = ["Rows", "Score", "Softmax", "score_of"]


class Softmax:
    """The softmax of logits (n, k) float64 from its complement, as `ood_toolkit.outputs.softmax` has it.

    `index` (n,) is the class of the largest logit in float32, so that a tie goes to the lower index here and there.
    """

    def __init__(self, logits: Tensor, index: Tensor | None = None) -> None:
        self.index = logits.float().argmax(dim=1) if index is None else index
        self.largest = logits.gather(1, self.index[:, None])[:, 0]
        self.shifted = logits - self.largest[:, None]
        at_largest = torch.arange(logits.shape[1]) == self.index[:, None]
        self.others = torch.where(at_largest, 0.0, self.shifted.exp())
        self.rest = self.others.sum(dim=1)

    @property
    def confidence(self) -> Tensor:
        """Largest probability, (n,)."""
        return 1 - self.rest / (1 + self.rest)

    @property
    def logsumexp(self) -> Tensor:
        """Log of the sum of exponentials, (n,)."""
        return self.largest + log1p(self.rest)

    @property
    def entropy(self) -> Tensor:
        """Shannon entropy in nats, (n,)."""
        return log1p(self.rest) - (self.others * self.shifted).sum(dim=1) / (1 + self.rest)


def log1p(x: Tensor) -> Tensor:
    """Give log(1 + x) of x at least 0 to the last digits, by Kahan's correction: ONNX has no log1p."""
    whole = 1 + x
    off = whole - 1
    return torch.where(off == 0, x, whole.log() * (x / torch.where(off == 0, 1.0, off)))


@dataclass(frozen=True, eq=False)
class Rows:
    """What a graph knows of a batch; each part is made when first asked for."""

    given: Tensor
    """(n, d) features, or (n, k) logits where there is no head."""
    head: Linear | None

    @cached_property
    def embeddings(self) -> Tensor:
        """Features as unit rows, (n, d) float32."""
        return unit(self.given.double()).float()

    @cached_property
    def cosine(self) -> Tensor:
        """Cosines with the class texts, (n, k) float64."""
        assert self.head is not None
        return self.embeddings.double() @ self.head.weight.double().T

    @cached_property
    def logits(self) -> Tensor:
        """Logits, (n, k) float64."""
        if self.head is None:
            return self.given.double()
        if self.head.zero_shot:
            return self.cosine * self.head.scale + self.head.bias.double()
        rows = self.embeddings if self.head.unit_rows else self.given
        return rows.double() @ self.head.weight.double().T + self.head.bias.double()

    @cached_property
    def softmax(self) -> Softmax:
        """The softmax of the logits."""
        return Softmax(self.logits)


def unit(rows: Tensor) -> Tensor:
    """Divide rows (n, d) float64 by their lengths; zeros stay."""
    length = rows.square().sum(dim=1, keepdim=True).sqrt()
    return rows / torch.where(length > 0, length, 1.0)


class Linear(nn.Module):
    """A head's arrays, in the precision that it holds them."""

    weight: Tensor
    bias: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.register_buffer("weight", head.weight)
        self.register_buffer("bias", head.bias)
        self.scale, self.unit_rows, self.zero_shot = head.scale, head.unit_rows, head.kind == "zero_shot"


class Score(nn.Module, ABC):
    """A score (n,) float64 of rows, higher = more in-distribution."""

    def __init__(self, scorer: Scorer, head: Head | None) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, rows: Rows) -> Tensor:
        """Give the score."""


class _MSP(Score):
    def forward(self, rows: Rows) -> Tensor:
        return rows.softmax.confidence


class _MaxLogit(Score):
    def forward(self, rows: Rows) -> Tensor:
        return rows.softmax.largest


class _Energy(Score):
    def __init__(self, scorer: Energy, head: Head | None) -> None:
        super().__init__(scorer, head)
        self.temperature = scorer.temperature

    def forward(self, rows: Rows) -> Tensor:
        if self.temperature == 1.0:
            return rows.softmax.logsumexp
        return self.temperature * Softmax(rows.logits / self.temperature, rows.softmax.index).logsumexp


class _Entropy(Score):
    def __init__(self, scorer: Entropy, head: Head | None) -> None:
        super().__init__(scorer, head)
        self.normalised = scorer.normalised

    def forward(self, rows: Rows) -> Tensor:
        entropy, classes = rows.softmax.entropy, rows.logits.shape[1]
        return -entropy / log(classes) if self.normalised and classes > 1 else -entropy


class _MCM(Score):
    def __init__(self, scorer: MCM, head: Head | None) -> None:
        super().__init__(scorer, head)
        self.temperature = scorer.temperature

    def forward(self, rows: Rows) -> Tensor:
        return Softmax(rows.cosine / self.temperature).confidence


class _NegLabel(Score):
    negatives: Tensor

    def __init__(self, scorer: NegLabel, head: Head | None) -> None:
        super().__init__(scorer, head)
        assert head is not None
        negatives, _ = scorer.in_groups(head)
        self.groups = min(scorer.groups, len(negatives))
        self.register_buffer("negatives", negatives)
        self.scale = head.scale / scorer.temperature

    def forward(self, rows: Rows) -> Tensor:
        assert rows.head is not None
        wide = unit(rows.embeddings.double()) * self.scale
        classes = wide @ rows.head.weight.double().T
        inside = Softmax(classes).logsumexp[:, None]  # log A, (n, 1)
        relative = (wide @ self.negatives.double().T - inside).clamp(max=LARGEST).exp()
        ratio = relative.reshape(-1, self.groups, len(self.negatives) // self.groups).sum(dim=2)  # B_g / A
        return (1 / (1 + ratio)).mean(dim=1)


class _KNN(Score):
    bank: Tensor

    def __init__(self, scorer: KNN, head: Head | None) -> None:
        super().__init__(scorer, head)
        self.register_buffer("bank", scorer.bank_)
        self.k = scorer.k

    def forward(self, rows: Rows) -> Tensor:
        products = rows.embeddings @ self.bank.float().T
        place = products.topk(self.k, dim=1).indices[:, -1]
        return -(rows.embeddings.double() - self.bank[place].double()).square().sum(dim=1)


class _Mahalanobis(Score):
    centre: Tensor
    whiten: Tensor
    means: Tensor

    def __init__(self, scorer: Mahalanobis, head: Head | None) -> None:
        super().__init__(scorer, head)
        self.register_buffer("centre", scorer.centre_)
        self.register_buffer("whiten", scorer.whiten_)
        self.register_buffer("means", scorer.means_)
        self.normalise = scorer.normalise

    def forward(self, rows: Rows) -> Tensor:
        looked_at = rows.embeddings if self.normalise else rows.given
        white = (looked_at.double() - self.centre) @ self.whiten
        cross = white @ self.means.T - self.means.square().sum(dim=1) / 2
        return -(white - self.means[cross.argmax(dim=1)]).square().sum(dim=1)


class _Margin(Score):
    """A base score minus the threshold of the predicted class."""

    threshold: Tensor
    always: Tensor
    never: Tensor

    def __init__(self, scorer: Margin, head: Head | None) -> None:
        super().__init__(scorer, head)
        self.base = score_of(scorer.base_, head)
        never = scorer.learned().get("never_")  # a detector of before there were such thresholds has none
        self.register_buffer("threshold", scorer.threshold_.double())
        self.register_buffer("always", scorer.always_)
        self.register_buffer("never", torch.zeros_like(scorer.always_) if never is None else never)

    def forward(self, rows: Rows) -> Tensor:
        index = rows.softmax.index
        margin = self.base(rows) - self.threshold[index]
        margin = torch.where(self.always[index], margin.clamp(min=0), margin)
        return torch.where(self.never[index], margin.clamp(max=JUST_BELOW), margin)


FORMULAS: Mapping[type[Scorer], type[Score]] = {
    MSP: _MSP, MaxLogit: _MaxLogit, Energy: _Energy, Entropy: _Entropy, MCM: _MCM, NegLabel: _NegLabel, KNN: _KNN,
    Mahalanobis: _Mahalanobis,
}  # fmt: skip
"""By the very class: a subclass may score otherwise."""


def score_of(scorer: Scorer, head: Head | None) -> Score:
    """Give a fitted scorer's formula as a module; `DetectorError` for one that has none here.

    Thresholds by class such as `classwise` are taken on any of the scores that can be exported.
    """
    if isinstance(scorer, Margin) and type(scorer).score is Margin.score:
        return _Margin(scorer, head)
    if type(scorer) not in FORMULAS:
        known = ", ".join(kind.name for kind in FORMULAS)
        raise DetectorError(
            f"{scorer.spec}: its formula is not written for ONNX; export knows {known}, and class thresholds such as "
            "classwise on these"
        )
    return FORMULAS[type(scorer)](scorer, head)
