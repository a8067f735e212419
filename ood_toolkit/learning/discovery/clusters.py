"""`Clustering`: groups of images in a matrix of distances, by DBSCAN or HDBSCAN, then those near to a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ood_toolkit.errors import ScorerError

__all__ = ["Clustering", "Clusters", "by_size", "grown", "k_distances", "knee"]

Method = Literal["dbscan", "hdbscan"]
VOTERS = 10
"""Nearest clustered images that say where an image belongs that no cluster has."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Which image is of which cluster; 0 is the largest."""

    labels: np.ndarray
    """(n,) int64; -1 for none."""
    eps: float | None
    """Of DBSCAN."""


@dataclass(frozen=True)
class Clustering:
    """How distances become clusters."""

    method: Method = "dbscan"
    """`dbscan`: Ester, Kriegel, Sander and Xu, KDD 1996; `hdbscan`: Campello, Moulavi and Sander, PAKDD 2013, with the
    leaves of its tree as clusters."""
    eps: float | None = None
    """Radius of DBSCAN; None: read from the sorted k-distances."""
    noise: float | None = 0.45
    """Share of the images whose k-distance may exceed eps, which is the threshold of Ester et al. where the share of
    noise is estimated; None: the knee of the curve."""
    min_size: int = 10
    """Images that a cluster has at least."""
    min_samples: int = 5
    """Images within eps, itself among them, that make an image a core of a cluster; the k of k-distances."""

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("method", self.method in ("dbscan", "hdbscan"), "dbscan or hdbscan"),
            ("eps", self.eps is None or self.eps > 0, "a number above 0"),
            ("noise", self.noise is None or 0 <= self.noise < 1, "a share from 0 to below 1"),
            ("min_size", self.min_size >= 2, "at least 2"),
            ("min_samples", self.min_samples >= 2, "at least 2"),
        ):
            if not good:
                raise ScorerError(f"clusters: {name}={getattr(self, name)}; expected {wanted}")

    def find(self, distances: np.ndarray) -> Clusters:
        """Cluster images by their distances (n, n)."""
        count = len(distances)
        if count < max(self.min_size, self.min_samples):
            return Clusters(np.full(count, -1), None)
        curve = k_distances(distances, self.min_samples)
        eps = self._eps(curve) if self.method == "dbscan" else None
        return Clusters(by_size(self._labels(distances, eps), self.min_size), eps)

    def _eps(self, curve: np.ndarray) -> float:
        if self.eps is not None:
            return self.eps
        eps = knee(curve) if self.noise is None else float(np.quantile(curve, 1 - self.noise))
        return max(eps, float(np.finfo(np.float32).tiny))  # copies of one image are at distance 0

    def _labels(self, distances: np.ndarray, eps: float | None) -> np.ndarray:
        from sklearn.cluster import DBSCAN, HDBSCAN

        if eps is not None:
            made = DBSCAN(eps=eps, min_samples=self.min_samples, metric="precomputed")
        else:
            made = HDBSCAN(
                min_cluster_size=self.min_size,
                min_samples=self.min_samples,
                metric="precomputed",
                cluster_selection_method="leaf",
                copy=True,
            )
        labels: np.ndarray = made.fit_predict(np.asarray(distances, dtype=np.float64)).astype(np.int64)
        return np.maximum(labels, -1)


def k_distances(distances: np.ndarray, k: int) -> np.ndarray:
    """Give the sorted distances (n,) of each image to its k-th nearest, itself the first, from (n, n)."""
    return np.sort(np.partition(distances, k - 1, axis=1)[:, k - 1].astype(np.float64))


def knee(curve: np.ndarray) -> float:
    """Give the value at the knee of a rising curve (n,): where it lies deepest below the line between its ends.

    With x_i = i / (n - 1) and y_i = (c_i - c_0) / (c_(n-1) - c_0) that is the first i of the largest x_i - y_i.
    """
    first, last = float(curve[0]), float(curve[-1])
    if not last > first:
        return last
    depth = np.linspace(0, 1, len(curve)) - (curve - first) / (last - first)
    return float(curve[np.argmax(depth)])


def grown(labels: np.ndarray, distances: np.ndarray, share: float, k: int = 5) -> np.ndarray:
    """Give clusters (n,) with those images of none that are near to one, by distances (n, n).

    At least `share` of the nearest `VOTERS` images that a cluster has must be of one, and its k-th nearest member no
    further off than the k-th nearest other member is from any member of it. Images that were added have no vote.
    """
    members, found = np.flatnonzero(labels >= 0), labels.copy()
    reach = [
        _reach(distances[np.ix_(labels == one, labels == one)], k) for one in range(int(labels.max(initial=-1)) + 1)
    ]
    for place in np.flatnonzero(labels < 0) if len(members) else ():
        nearest = members[np.argsort(distances[place, members], kind="stable")[:VOTERS]]
        votes = np.bincount(labels[nearest])
        owner = int(votes.argmax())
        off = np.sort(distances[place, labels == owner])
        if votes[owner] >= share * len(nearest) and off[min(k, len(off)) - 1] <= reach[owner]:
            found[place] = owner
    return found


def _reach(distances: np.ndarray, k: int) -> float:
    """Give the largest distance of a member to its k-th nearest other, or the furthest where there are fewer."""
    return float(np.sort(distances, axis=1)[:, min(k, len(distances) - 1)].max())


def by_size(labels: np.ndarray, min_size: int) -> np.ndarray:
    """Give clusters numbers by size, the largest 0, ties as they were; dissolve those that are too small."""
    names, sizes = np.unique(labels[labels >= 0], return_counts=True)
    order = [name for _, name in sorted(zip(-sizes, names, strict=True)) if (labels == name).sum() >= min_size]
    found = np.full(len(labels), -1, dtype=np.int64)
    for place, name in enumerate(order):
        found[labels == name] = place
    return found
