"""What is read off a ROC curve given as counts: its area, its least error, and six published rules for FPR95.

The true positive rate wanted is 19/20, compared in integers (20 tp >= 19 n): a rate in float32 falls on the
wrong side of 0.95 at exact multiples. `fpr_first` takes any rate, as a fraction. Each rule takes the counts of one
reading, so the caller chooses which class is positive; those for FPR95 are written as the point that they read.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import update_wrapper
from typing import TypeAlias

import numpy as np

from ood_toolkit.metrics.ranking import Counts, IntArray

Point: TypeAlias = tuple[float, float]
"""Positives and negatives that pass; counts, but where a curve is drawn with straight lines."""
WANTED = Fraction(19, 20)
"""The true positive rate of every FPR95."""


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


def fpr_first(counts: Counts, level: Fraction) -> float:
    """Return the FPR at the strictest threshold whose TPR is at least the level, above 0 and at most 1."""
    return _rate(_point(counts, _first_to_reach(counts, level)), counts)


class Fpr95:
    """A rule for FPR95, made of the point of the curve that it reads: called with counts, it gives the FPR there."""

    def __init__(self, point: Callable[[Counts], Point]) -> None:
        self.point = point
        update_wrapper(self, point)

    def __call__(self, counts: Counts) -> float:
        """Return the FPR at the point."""
        return _rate(self.point(counts), counts)


@Fpr95
def fpr95_first(counts: Counts) -> Point:
    """Read the FPR at the strictest threshold whose TPR is at least 0.95."""
    return _point(counts, _first_to_reach(counts, WANTED))


@Fpr95
def fpr95_first_corner(counts: Counts) -> Point:
    """Read the FPR at the first point with TPR at least 0.95 after collinear points have been dropped.

    A point between two equal steps is dropped, as `sklearn.metrics.roc_curve` does unless told otherwise; the
    first and the last threshold stay. The next corner may lie far beyond 0.95.
    """
    tp, fp = counts.tp, counts.fp
    bend = (np.diff(tp, 2) != 0) | (np.diff(fp, 2) != 0)  # (u - 2,) inner thresholds where the step changes
    corners = np.ones(tp.size, dtype=np.bool_)
    corners[1:-1] = bend
    return fpr95_first.point(Counts(tp=tp[corners], fp=fp[corners]))


@Fpr95
def fpr95_nearest(counts: Counts) -> Point:
    """Read the FPR where the recall is nearest to 0.95, which may be below it.

    Of several thresholds with that recall the loosest counts, and past the first full recall none does.
    The distance is taken in float64, because that is how the published code breaks its near-ties.
    """
    full = int(np.searchsorted(counts.tp, counts.positives))
    distance = np.abs(counts.tp[: full + 1] / counts.positives - 0.95)
    return _point(counts, full - int(np.argmin(distance[::-1])))


@Fpr95
def fpr95_interpolated(counts: Counts) -> Point:
    """Read the FPR at TPR 0.95 on the ROC curve drawn with straight lines; the point lies between thresholds.

    Where the curve runs level at exactly 0.95, its far end counts, as with `numpy.interp`.
    """
    below = int(np.searchsorted(20 * counts.tp, 19 * counts.positives, side="right")) - 1
    tp, fp = (int(counts.tp[below]), int(counts.fp[below])) if below >= 0 else (0, 0)
    tp_next, fp_next = int(counts.tp[below + 1]), int(counts.fp[below + 1])
    way = (19 * counts.positives - 20 * tp) / (20 * (tp_next - tp))
    return 19 * counts.positives / 20, fp + (fp_next - fp) * way


@Fpr95
def fpr95_floor_rank(counts: Counts) -> Point:
    """Read the share of negatives at or above the floor(0.95 n)-th best positive."""
    rank = max(1, 19 * counts.positives // 20)
    return _point(counts, int(np.searchsorted(counts.tp, rank)))


@Fpr95
def fpr95_strict_rank(counts: Counts) -> Point:
    """Read the share of negatives strictly above the positive at position round(0.05 n), counted from 0.

    Positions count from the least positive one; a half rounds to the even neighbour.
    """
    rank = counts.positives - round(0.05 * counts.positives)
    return _point(counts, int(np.searchsorted(counts.tp, rank)) - 1)


def _first_to_reach(counts: Counts, level: Fraction) -> int:
    """Return the index of the strictest threshold that lets at least this share of the positives through."""
    needed = math.ceil(level * counts.positives)  # the least count with count / positives >= level, exactly
    return int(np.searchsorted(counts.tp, needed))


def _point(counts: Counts, index: int) -> Point:
    """Return the counts at a threshold; index -1 is the point where nothing passes."""
    return (int(counts.tp[index]), int(counts.fp[index])) if index >= 0 else (0, 0)


def _rate(point: Point, counts: Counts) -> float:
    """Return the FPR at a point."""
    return point[1] / counts.negatives


def _before(counts: IntArray) -> IntArray:
    """Return for each threshold the count at the stricter one next to it, 0 for the first."""
    return np.concatenate([np.zeros(1, dtype=np.int64), counts[:-1]])


def _steps(counts: IntArray) -> IntArray:
    """Return how many images each threshold adds."""
    return counts - _before(counts)
