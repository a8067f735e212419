"""Whether a stated confidence is the share of right predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.ranking import IntArray
from ood_toolkit.metrics.scores import FloatArray, as_flags, as_scores, check_aligned


def accuracy(right: ArrayLike) -> float:
    """Compute the share of predictions that are right.

    `right` (n,) says for each image whether the class predicted is its label. Raises `MetricError` when it is
    empty, not one-dimensional or not boolean.
    """
    return float(np.mean(as_flags(right, "right")))


def ece(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> float:
    """Compute the expected calibration error: the mean gap between confidence and accuracy over bins.

    `confidence` (n,) is the probability given to the predicted class, `right` (n,) whether it was the label.
    The M bins are equally wide and closed on the right, B_m = ((m-1)/M, m/M], a confidence of exactly 0
    belongs to the first, and

        ECE = sum_m |B_m| / n * | accuracy(B_m) - mean confidence(B_m) |,

    where an empty bin adds nothing. Source: Guo et al., arXiv 1706.04599. Raises `MetricError` for unequal
    lengths, a confidence outside [0, 1], NaN, empty arrays and fewer than one bin.
    """
    stated, hit, bin_of = binned(confidence, right, bins)
    gaps = np.bincount(bin_of, weights=hit - stated, minlength=bins)  # (M,) |B_m| (accuracy - confidence)
    return float(np.abs(gaps).sum()) / stated.size


def binned(confidence: ArrayLike, right: ArrayLike, bins: int) -> tuple[FloatArray, FloatArray, IntArray]:
    """Check what `ece` takes; give confidence (n,), 1 for a right prediction and else 0 (n,), and bin (n,) from 0."""
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise MetricError(f"bins: expected a whole number of at least 1, got {bins!r}; the papers use 15")
    stated, hit = as_scores(confidence, "confidence"), as_flags(right, "right")
    check_aligned(stated, hit, "confidence and right")
    outside = stated[(stated < 0) | (stated > 1)]
    if outside.size:
        raise MetricError(
            f"confidence: expected probabilities in [0, 1], got {_written(outside[0])}; "
            "calibration needs the probability of the predicted class, not a score"
        )
    # k / M is rounded once, so that a confidence written as k / M meets its edge exactly.
    edges = np.arange(1, bins + 1) / bins  # (M,) upper ends
    return stated, hit.astype(np.float64), np.searchsorted(edges, stated).astype(np.int64)


def _written(value: float) -> str:
    """Write a number so that it is told from 0 and 1."""
    return next(text for digits in range(6, 18) if float(text := f"{value:.{digits}g}") not in (0.0, 1.0))
