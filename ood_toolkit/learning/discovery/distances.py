"""Distances between images by the neighbours that they share: k-reciprocal Jaccard, arXiv 1701.08398."""

from __future__ import annotations

import numpy as np

from ood_toolkit.errors import OutputsError

__all__ = ["MOST", "angular_distances", "shared_distances"]

MOST = 20_000
"""Images that are clustered at most: distances of all pairs are held, which is 1.6 GB of float32 for so many."""
BLENDED = 6
"""Nearest images, itself among them, whose neighbourhoods are averaged to one; k2 of the paper."""


def angular_distances(rows: np.ndarray) -> np.ndarray:
    """Give the Euclidean distances (n, n) of unit rows (n, d); `OutputsError` for more rows than `MOST`."""
    if len(rows) > MOST:
        raise OutputsError(f"clusters: expected at most {MOST:,} images, got {len(rows):,}; take fewer with --limit")
    squared = 2 - 2 * np.clip(rows @ rows.T, -1, 1)
    np.fill_diagonal(squared, 0)
    distances: np.ndarray = np.sqrt(squared)
    return distances


def shared_distances(distances: np.ndarray, neighbours: int = 20) -> np.ndarray:
    """Give 1 - |shared| / |joined| of the images' neighbourhoods, (n, n) in [0, 1], from distances (n, n).

    The neighbourhood of an image are those among its nearest `neighbours` of which it is itself among the nearest,
    itself included, weighted by exp(-distance) to a sum of 1, and then the mean of the neighbourhoods of its
    `BLENDED` nearest images; with these weights v and w, shared = sum min(v, w) and joined = sum max(v, w).
    Zhong, Zheng, Cao and Li, CVPR 2017. Left out of it: neighbourhoods of neighbours are not joined in, and the
    result is not mixed with the distances that it came from.
    """
    count = len(distances)
    order = np.argsort(distances, axis=1, kind="stable")[:, : neighbours + 1]
    near = np.zeros((count, count), dtype=bool)
    near[np.arange(count)[:, None], order] = True
    near[np.arange(count), np.arange(count)] = True
    weights = np.where(near & near.T, np.exp(-distances), 0).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    blended = np.stack([weights[row].mean(axis=0) for row in order[:, :BLENDED]])
    found = np.empty((count, count), dtype=np.float32)
    for place, weight in enumerate(blended):
        columns = np.flatnonzero(weight)
        shared = np.minimum(blended[:, columns], weight[columns]).sum(axis=1)
        found[place] = 1 - shared / (2 - shared)
    np.fill_diagonal(found, 0)
    symmetric: np.ndarray = np.clip((found + found.T) / 2, 0, 1)
    return symmetric
