"""`TiedGaussians`: what Mahalanobis scores share: class means of training features and what whitens around them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ood_toolkit.api.scorer import Scorer, given
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from torch import Tensor

    from ood_toolkit.outputs import Outputs


FLAT = "directions in which they do not differ do not count, so that OOD may seem near; give more"


def rows_of(x: Outputs, normalise: bool) -> Tensor:
    """Give the features (n, d) as the model emitted them, or as unit rows.

    Without features the unit rows are asked for all the same, since their error says what is missing.
    """
    return x.embeddings if normalise or x.features is None else x.features


@dataclass(frozen=True, eq=False)
class Moments:
    """What is learned of labelled training features, in float64."""

    count: Tensor
    """(k,) images of each class."""
    means: Tensor
    """(k, d); zeros where a class has no images."""
    centre: Tensor
    """(d,), the mean of all of them."""
    within: Tensor
    """(d, d), the mean of (h - mu_y)(h - mu_y)'."""

    @property
    def seen(self) -> Tensor:
        """Means of the classes that have images, less the centre, (classes seen, d)."""
        return self.means[self.count > 0] - self.centre

    @property
    def total(self) -> Tensor:
        """The mean of (h - centre)(h - centre)', (d, d): the spread within the classes and that of their means."""
        share = self.count[self.count > 0, None] / self.count.sum()
        return self.within + self.seen.T @ (share * self.seen)


@dataclass
class TiedGaussians(Scorer):
    """One Gaussian a class on training features, all with one covariance; a subclass says which rows and scores them.

    The distance is the square of the length after whitening by W (d, rank), W W' being the pseudo-inverse of the
    covariance, so that directions without any spread do not count. Classes without images are left out.
    """

    group = "classical"
    needs = frozenset({"features", "train", "train_labels"})

    @abstractmethod
    def _rows(self, x: Outputs) -> Tensor:
        """Give the features that are looked at, (n, d)."""

    def fit(self, val: Outputs, train: Outputs | None = None) -> TiedGaussians:
        """Learn class means and what whitens the tied covariance."""
        self._learn(given(self, train, "train"))
        return self

    def _learn(self, train: Outputs) -> Moments:
        import torch

        if train.labels is None or not (train.labels >= 0).any():
            raise ScorerError(f"{self.name}: needs train_labels, training images of at least one class")
        count = torch.bincount(train.labels[train.labels >= 0], minlength=train.classes).double()  # (k,)
        sums = torch.zeros(1, dtype=torch.float64, device=train.device)
        for rows, labels in self._known(train):
            sums = sums + torch.zeros(len(count), rows.shape[1]).to(rows).index_add_(0, labels, rows)
        means = sums / count.clamp(min=1)[:, None]  # (k, d)
        scatter = torch.zeros(1, dtype=torch.float64, device=train.device)
        for rows, labels in self._known(train):
            apart = rows - means[labels]
            scatter = scatter + apart.T @ apart
        found = Moments(count, means, sums.sum(dim=0) / count.sum(), scatter / count.sum())
        self.centre_ = found.centre  # (d,)
        self.whiten_ = self._whitening(found.within)  # (d, rank)
        self.means_ = found.seen @ self.whiten_  # (classes seen, rank)
        images, width, classes = int(count.sum()), len(self.centre_), len(found.seen)
        few = f"{images:,} training images of {classes:,} classes in {width:,} dimensions: "
        self.notes_ = [few + FLAT] if images - classes < width else []
        return found

    def _distance(self, x: Outputs) -> Tensor:
        """Give the squared distance to the nearest class mean, (n,) float64."""
        white = (self._rows(x).double() - self.centre_) @ self.whiten_  # (n, rank)
        cross = white @ self.means_.T - self.means_.square().sum(dim=1) / 2  # (n, classes seen)
        return (white - self.means_[cross.argmax(dim=1)]).square().sum(dim=1)

    def _known(self, train: Outputs) -> Iterator[tuple[Tensor, Tensor]]:
        """Walk the training images that belong to a class: rows (rows, d) and labels (rows,)."""
        for chunk in train.chunks():
            if chunk.labels is not None:
                known = chunk.labels >= 0
                yield self._rows(chunk)[known].double(), chunk.labels[known]

    def _whitening(self, covariance: Tensor) -> Tensor:
        """Give W (d, rank) with W W' the pseudo-inverse; directions without any spread are left out."""
        import torch

        values, vectors = torch.linalg.eigh(covariance)
        kept = values > values.max() * len(values) * torch.finfo(values.dtype).eps
        if not kept.any():
            raise ScorerError(f"{self.name}: the training features have no spread around their class means")
        return vectors[:, kept] / values[kept].sqrt()
