"""Mahalanobis distance (MDS): Lee, Lee, Lee and Shin, NeurIPS 2018, arXiv 1807.03888."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.gaussians import TiedGaussians, rows_of

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Mahalanobis(TiedGaussians):
    """Negative squared Mahalanobis distance to the nearest class mean, max_c -(h - mu_c)' P (h - mu_c), at most 0.

    mu_c (d,) are the class means of the training features and P (d, d) the pseudo-inverse of their tied covariance,
    the mean of (h - mu_y)(h - mu_y)' over all training images; all in float64. Only the last layer and no input
    perturbation, as OpenOOD has it. Classes without training images have no mean and are never the nearest.
    """

    normalise: bool = False
    """Whether to use unit rows in place of the features as the model emitted them; see `mahalanobis-pp`."""

    name = "mahalanobis"

    def score(self, x: Outputs) -> Tensor:
        """Give the negative squared distance (n,)."""
        return x.map(lambda chunk: -self._distance(chunk))

    def _rows(self, x: Outputs) -> Tensor:
        return rows_of(x, self.normalise)
