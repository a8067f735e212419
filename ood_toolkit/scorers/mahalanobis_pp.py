"""Mahalanobis++: Müller and Hein, ICML 2025, arXiv 2505.18032."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.scorers.families.gaussians import TiedGaussians

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class MahalanobisPP(TiedGaussians):
    """Negative squared Mahalanobis distance of unit rows h^ = h / ||h||, max_c -(h^ - mu_c)' P (h^ - mu_c), at most 0.

    mu_c (d,) and P (d, d) are those of `mahalanobis`, learned from the unit rows of the training features, so that the
    score equals `mahalanobis:normalise=true`. Confirmed by the definition alone, which the authors' abstract and
    README give as the usual distance on L2-normalised features; their figures were not reproduced here.
    """

    name = "mahalanobis-pp"

    def score(self, x: Outputs) -> Tensor:
        """Give the negative squared distance (n,)."""
        return x.map(lambda chunk: -self._distance(chunk))

    def _rows(self, x: Outputs) -> Tensor:
        return x.embeddings
