"""NECO, neural collapse: Ben Ammar, Belkhir, Popescu, Manzanera and Franchi, ICLR 2024, arXiv 2310.06823."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ood_toolkit.api.scorer import Scorer, between, given
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.families.gaussians import rows_of
from ood_toolkit.scorers.families.subspace import check_dim, principal

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs

SPREAD = 1e-12
"""Standard deviation of a feature, relative to its largest number, below which it is one number and not divided by."""


@dataclass
class NECO(Scorer):
    """Share of a feature's length in the principal space of training features, times max z: ||P' s|| / ||s|| max_k z_k.

    s (d,) is the feature less the mean of the training features, each number over its standard deviation there; P
    (d, q) are the leading eigenvectors of the covariance of s, the fewest whose share of its trace reaches `ratio`. The
    authors choose q by hand for each network and leave max z out for ResNets; for DeiT and Swin their code divides by
    the length of the plain feature, which is not done here. Where max z is below 0 the product of two signs makes an
    unsure image look sure: meant for logits whose largest is above 0. pytorch-ood 0.4.0 does not have it.
    """

    ratio: float = 0.9
    """Share of the variance that the q directions explain, above 0 and below 1."""
    dim: int | None = None
    """q itself, in place of the ratio."""
    maxlogit: bool = True
    """Whether to multiply by the largest logit; without it the score lies in [0, 1]."""

    name = "neco"
    group = "classical"
    needs = frozenset({"features", "logits", "train"})
    grid: ClassVar = {"ratio": (0.7, 0.8, 0.9, 0.95, 0.99), "maxlogit": (True, False)}

    def __post_init__(self) -> None:
        between(self, "ratio", 0, 1, ends=False)
        check_dim(self, self.dim)

    def fit(self, val: Outputs, train: Outputs | None = None) -> NECO:
        """Learn mean, spread and principal directions of the training features."""
        import torch

        train = given(self, train, "train")
        width = self._rows(train[:1]).shape[1]
        if self.dim is not None and self.dim >= width:
            raise ScorerError(f"neco: dim={self.dim}: expected less than the width of the features, {width}")
        self.centre_ = sum(self._rows(chunk).sum(dim=0) for chunk in train.chunks()) / len(train)  # (d,)
        scatter = torch.zeros(width, width, dtype=torch.float64, device=train.device)
        largest = torch.zeros(width, dtype=torch.float64, device=train.device)
        for chunk in train.chunks():
            rows = self._rows(chunk)
            scatter += (rows - self.centre_).T @ (rows - self.centre_)
            largest = largest.maximum(rows.abs().amax(dim=0))
        spread = (scatter.diagonal() / len(train)).sqrt()
        varied = spread > SPREAD * largest
        if not varied.any():
            raise ScorerError("neco: the training features have no spread around their mean")
        self.spread_ = spread.where(varied, 1.0)  # (d,)
        self.directions_ = principal(scatter / self.spread_ / self.spread_[:, None], self.ratio, self.dim)  # (d, q)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the share of the length, times the largest logit, (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        scaled = (self._rows(x) - self.centre_) / self.spread_
        length = scaled.norm(dim=1)
        share = (scaled @ self.directions_).norm(dim=1) / length.where(length > 0, 1.0)
        return share * x.max_logit if self.maxlogit else share

    def _rows(self, x: Outputs) -> Tensor:
        """Give the features as the model emitted them, in float64."""
        return rows_of(x, normalise=False).double()
