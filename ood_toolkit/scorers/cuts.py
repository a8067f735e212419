"""Thresholds that compare right with wrong predictions on ID validation and promise nothing: mean, F1, Youden, cost.

Each takes scores (n,), higher = more in-distribution, and right (n,) bool, which predictions are right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["cost_threshold", "f1_threshold", "mean_threshold", "youden_threshold"]

KAPPA = 0.9
"""How far below the mean score of the right ones `mean_threshold` lies."""


def mean_threshold(scores: np.ndarray, right: np.ndarray) -> float | None:
    """Give the mean score of the right predictions less a tenth of its size; None without any."""
    if not right.any():
        return None
    mean = float(scores[right].mean())
    return mean - (1 - KAPPA) * abs(mean)


def f1_threshold(scores: np.ndarray, right: np.ndarray) -> float | None:
    """Give the score with the best F1 of right against wrong, ties to the lower; None where one kind is lacking."""
    return _best(scores, right, lambda kept_right, kept_wrong: 2 * kept_right / (kept_right + kept_wrong + right.sum()))


def youden_threshold(scores: np.ndarray, right: np.ndarray) -> float | None:
    """Give the score with the largest TPR - FPR of right against wrong, ties to the lower; None as `f1_threshold`."""
    rights, wrongs = right.sum(), (~right).sum()  # TPR - FPR times both: whole numbers, so that ties are equal
    return _best(scores, right, lambda kept_right, kept_wrong: kept_right * wrongs - kept_wrong * rights)


def cost_threshold(scores: Any, right: Any, error: float, reject: float) -> float:
    """Give the threshold of least cost: `error` for each accepted wrong image, `reject` for each rejected one.

    Ties go to the lower threshold; plus infinity where rejecting all is cheapest. For a calibrated confidence the limit
    is Chow's 1 - reject / error (1970).
    """
    values, correct = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    cuts, place = np.unique(values, return_inverse=True)
    wrong = _accepted(place, ~correct, len(cuts))
    rejected = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=len(cuts)))])
    paid, turned = Fraction(str(error)), Fraction(str(reject))
    scale = math.lcm(paid.denominator, turned.denominator)
    costs = [
        int(paid * scale) * int(w) + int(turned * scale) * int(r)
        for w, r in zip(np.append(wrong, 0), rejected, strict=True)
    ]
    best = min(range(len(costs)), key=lambda place: (costs[place], place))
    return float(cuts[best]) if best < len(cuts) else math.inf


def _best(scores: np.ndarray, right: np.ndarray, merit: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float | None:
    """Try every score as the threshold; ties in what is to be largest go to the lower one."""
    if right.all() or not right.any():
        return None
    cuts, place = np.unique(scores, return_inverse=True)
    kept_right, kept_wrong = (_accepted(place, which, len(cuts)) for which in (right, ~right))
    return float(cuts[np.argmax(merit(kept_right, kept_wrong))])


def _accepted(place: np.ndarray, which: np.ndarray, cuts: int) -> np.ndarray:
    """Count at each cut, rising, the images of `which` at or above it; `place` (n,) is that of each image's score."""
    counts: np.ndarray = np.cumsum(np.bincount(place, which, cuts)[::-1])[::-1]
    return counts
