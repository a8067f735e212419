"""RMDS, relative Mahalanobis distance: Ren, Fort, Liu, Roy, Padhy and Lakshminarayanan, 2021, arXiv 2106.09022."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import given
from ood_toolkit.scorers.families.gaussians import TiedGaussians, rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class RMDS(TiedGaussians):
    """Distance to one Gaussian over all classes less that to the nearest class, of any sign.

    max_c [ (h - mu_0)' P_0 (h - mu_0) - (h - mu_c)' P (h - mu_c) ], where mu_c (d,) and P (d, d) are the class means
    and the pseudo-inverse of the tied covariance of the training features, as in `mahalanobis`, and mu_0 and P_0 the
    mean and the pseudo-inverse of the covariance of all of them regardless of class; all in float64. OpenOOD inverts
    with scikit-learn, pytorch-ood after adding 1e-6 I to the sums of squares, both the same where nothing is singular.
    """

    normalise: bool = False
    """Whether to use unit rows in place of the features as the model emitted them."""

    name = "rmds"

    def fit(self, val: Outputs, train: Outputs | None = None) -> RMDS:
        """Learn the Gaussians of the classes and the one over all of them."""
        self.background_ = self._whitening(self._learn(given(self, train, "train")).total)  # (d, rank)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the difference of the two squared distances (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        apart = (self._rows(x).double() - self.centre_) @ self.background_  # (n, rank)
        return apart.square().sum(dim=1) - self._distance(x)

    def _rows(self, x: Outputs) -> Tensor:
        return rows_of(x, self.normalise)
