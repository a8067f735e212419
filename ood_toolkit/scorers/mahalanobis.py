"""Mahalanobis distance (MDS): Lee, Lee, Lee and Shin, NeurIPS 2018, arXiv 1807.03888."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.errors import ScorerError
from ood_toolkit.scorer import Scorer, given

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


@dataclass
class Mahalanobis(Scorer):
    """Negative squared Mahalanobis distance to the nearest class mean, max_c -(h - mu_c)' P (h - mu_c), at most 0.

    mu_c (d,) are the class means of the training features and P (d, d) the pseudo-inverse of their tied covariance,
    the mean of (h - mu_y)(h - mu_y)' over all training images; all in float64. Only the last layer and no input
    perturbation, as OpenOOD has it. Classes without training images have no mean and are never the nearest.
    """

    normalise: bool = False
    """Whether to use unit rows in place of the features as the model emitted them."""

    name = "mahalanobis"
    group = "classical"
    needs = frozenset({"features", "train", "train_labels"})

    def fit(self, val: Outputs, train: Outputs | None = None) -> Mahalanobis:
        """Learn class means and what whitens the tied covariance."""
        import torch

        train = given(self, train, "train")
        if train.labels is None or not (train.labels >= 0).any():
            raise ScorerError("mahalanobis: needs train_labels, training images of at least one class")
        count = torch.bincount(train.labels[train.labels >= 0], minlength=train.classes).double()  # (k,)
        sums = torch.zeros(1, dtype=torch.float64, device=train.device)
        for features, labels in self._known(train):
            sums = sums + torch.zeros(len(count), features.shape[1]).to(features).index_add_(0, labels, features)
        means = sums / count.clamp(min=1)[:, None]  # (k, d)
        scatter = torch.zeros(1, dtype=torch.float64, device=train.device)
        for features, labels in self._known(train):
            apart = features - means[labels]
            scatter = scatter + apart.T @ apart
        self.centre_ = sums.sum(dim=0) / count.sum()  # (d,)
        self.whiten_ = _whitening(scatter / count.sum())  # (d, rank)
        self.means_ = (means[count > 0] - self.centre_) @ self.whiten_  # (classes seen, rank)
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the negative squared distance (n,)."""
        return x.map(self._score)

    def _score(self, x: Outputs) -> Tensor:
        white = (self._features(x) - self.centre_) @ self.whiten_  # (n, rank)
        cross = white @ self.means_.T - self.means_.square().sum(dim=1) / 2  # (n, classes seen)
        nearest = self.means_[cross.argmax(dim=1)]
        return -(white - nearest).square().sum(dim=1)

    def _features(self, x: Outputs) -> Tensor:
        return (x.embeddings if self.normalise or x.features is None else x.features).double()

    def _known(self, train: Outputs) -> Iterator[tuple[Tensor, Tensor]]:
        """Walk the training images that belong to a class: features (rows, d) and labels (rows,)."""
        for chunk in train.chunks():
            if chunk.labels is not None:
                known = chunk.labels >= 0
                yield self._features(chunk)[known], chunk.labels[known]


def _whitening(covariance: Tensor) -> Tensor:
    """Give W (d, rank) with W W' the pseudo-inverse; directions without any spread are left out."""
    import torch

    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values.max() * len(values) * torch.finfo(values.dtype).eps
    if not kept.any():
        raise ScorerError("mahalanobis: the training features have no spread around their class means")
    return vectors[:, kept] / values[kept].sqrt()
