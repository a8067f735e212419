"""ORA, relative angles: Demirel, Fumero and Locatello, NeurIPS 2025, arXiv 2410.04525."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.scorers.families.boundaries import closeness
from ood_toolkit.scorers.families.subspace import centre

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class ORA(Scorer):
    """Largest angle, over pi, between features and their projection on a decision boundary, seen from the mean.

    max_c angle(h - mu, h_c - mu) / pi in [0, 1], where mu (d,) is the mean of the training features, y = argmax z, and
    h_c = h - (z_y - z_c) (w_y - w_c) / ||w_y - w_c||^2 the point nearest to h at which y and c have one logit; w_c (d,)
    are the rows of the head. Classes of equal rows have no boundary between them. h is what the head multiplies:
    features under a linear head, unit rows under a zero-shot one. pytorch-ood 0.4.0 does not have it.
    """

    name = "ora"
    group = "classical"
    needs = frozenset({"features", "head", "train"})
    bounds = (0.0, 1.0)

    def fit(self, val: Outputs, train: Outputs | None = None) -> ORA:
        """Learn the mean of the training features, its logits, and the distances between the rows of the head."""
        train = given(self, train, "train")
        self.centre_ = centre(train)  # (d,)
        self.logits_ = train.head.apply(self.centre_[None])[0]  # type: ignore[union-attr]  # (k,)
        self.closeness_ = closeness(train.head.matrix)  # type: ignore[union-attr]  # (k, k)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the largest angle over pi (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        import torch

        square = (x.head_input.double() - self.centre_).square().sum(dim=1)[:, None]  # ||h - mu||^2, (n, 1)
        margins = (x.max_logit[:, None] - x.logits).double()  # z_y - z_c, (n, k)
        steps = margins * self.closeness_[x.prediction].double().square()  # of w_y - w_c, to the boundary
        along = margins - (self.logits_[x.prediction][:, None] - self.logits_)  # (h - mu) . (w_y - w_c)
        across = (steps * (square * margins - steps * along.square())).clamp(min=0).sqrt()
        return torch.atan2(across, square - steps * along).amax(dim=1) / pi
