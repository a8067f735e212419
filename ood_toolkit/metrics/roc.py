"""What is read off a ROC curve given as counts: its area, its least error, and six published rules for FPR95.

The true positive rate wanted is 19/20, compared in integers (20 tp >= 19 n): a rate in float32 falls on the
wrong side of 0.95 at exact multiples. Each `fpr95_*` takes the counts of one reading, so the caller chooses
which class is positive.
"""

from __future__ import annotations

import numpy as np

from ood_toolkit.metrics.ranking import Counts, IntArray


def roc_area(counts: Counts) -> float:
    """Return the share of (positive, negative) pairs in the right order, ties counting half."""
    # Twice the area is an integer, so the result is the exact ratio, rounded once.
    twice = np.sum(_steps(counts.fp) * (counts.tp + _before(counts.tp)))
    return int(twice) / (2 * counts.positives * counts.negatives)


def least_error(counts: Counts) -> float:
    """Return the minimum over all thresholds of (FPR + FNR) / 2; letting all or nothing pass gives 1/2."""
    n, m = counts.positives, counts.negatives
    twice = counts.fp * n + (n - counts.tp) * m  # (u,) times n m, to stay in integers
    return int(twice.min()) / (2 * n * m)


def fpr95_first(counts: Counts) -> float:
    """Return the FPR at the strictest threshold whose TPR is at least 0.95."""
    return _rate(counts.fp, _first_to_reach(counts), counts)


def fpr95_first_corner(counts: Counts) -> float:
    """Return the FPR at the first point with TPR at least 0.95 after collinear points have been dropped.

    A point between two equal steps is dropped, as `sklearn.metrics.roc_curve` does unless told otherwise; the
    first and the last threshold stay. The next corner may lie far beyond 0.95.
    """
    tp, fp = counts.tp, counts.fp
    bend = (np.diff(tp, 2) != 0) | (np.diff(fp, 2) != 0)  # (u - 2,) inner thresholds where the step changes
    corners = np.ones(tp.size, dtype=np.bool_)
    corners[1:-1] = bend
    return fpr95_first(Counts(tp=tp[corners], fp=fp[corners]))


def fpr95_nearest(counts: Counts) -> float:
    """Return the FPR where the recall is nearest to 0.95, which may be below it.

    Of several thresholds with that recall the loosest counts, and past the first full recall none does.
    The distance is taken in float64, because that is how the published code breaks its near-ties.
    """
    full = int(np.searchsorted(counts.tp, counts.positives))
    distance = np.abs(counts.tp[: full + 1] / counts.positives - 0.95)
    return _rate(counts.fp, full - int(np.argmin(distance[::-1])), counts)


def fpr95_interpolated(counts: Counts) -> float:
    """Return the FPR at TPR 0.95 on the ROC curve drawn with straight lines.

    Where the curve runs level at exactly 0.95, its far end counts, as with `numpy.interp`.
    """
    below = int(np.searchsorted(20 * counts.tp, 19 * counts.positives, side="right")) - 1
    tp, fp = (int(counts.tp[below]), int(counts.fp[below])) if below >= 0 else (0, 0)
    tp_next, fp_next = int(counts.tp[below + 1]), int(counts.fp[below + 1])
    way = (19 * counts.positives - 20 * tp) / (20 * (tp_next - tp))
    return (fp + (fp_next - fp) * way) / counts.negatives


def fpr95_floor_rank(counts: Counts) -> float:
    """Return the share of negatives at or above the floor(0.95 n)-th best positive."""
    rank = max(1, 19 * counts.positives // 20)
    return _rate(counts.fp, int(np.searchsorted(counts.tp, rank)), counts)


def fpr95_strict_rank(counts: Counts) -> float:
    """Return the share of negatives strictly above the positive at position round(0.05 n), counted from 0.

    Positions count from the least positive one; a half rounds to the even neighbour.
    """
    rank = counts.positives - round(0.05 * counts.positives)
    return _rate(counts.fp, int(np.searchsorted(counts.tp, rank)) - 1, counts)


def _first_to_reach(counts: Counts) -> int:
    """Return the index of the strictest threshold that lets at least 95 % of the positives through."""
    return int(np.searchsorted(20 * counts.tp, 19 * counts.positives))


def _rate(fp: IntArray, index: int, counts: Counts) -> float:
    """Return the FPR at a threshold; index -1 is the point where nothing passes."""
    return int(fp[index]) / counts.negatives if index >= 0 else 0.0


def _before(counts: IntArray) -> IntArray:
    """Return for each threshold the count at the stricter one next to it, 0 for the first."""
    return np.concatenate([np.zeros(1, dtype=np.int64), counts[:-1]])


def _steps(counts: IntArray) -> IntArray:
    """Return how many images each threshold adds."""
    return counts - _before(counts)
