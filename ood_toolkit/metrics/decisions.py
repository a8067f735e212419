"""Shares of right decisions once a threshold has been set: ID or OOD, certain or uncertain."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.metrics.scores import BoolArray, as_flags, check_aligned


def id_accepted(id_in: ArrayLike) -> float:
    """Compute the share of ID images that were decided to be in-distribution.

    `id_in` (n,) is True where the decision was "in-distribution". Raises `MetricError` when it is empty, not
    one-dimensional or not boolean.
    """
    return float(np.mean(as_flags(id_in, "id_in")))


def ood_detected(ood_in: ArrayLike) -> float:
    """Compute the share of OOD images that were decided to be out-of-distribution.

    `ood_in` (m,) is True where the decision was "in-distribution", as for `id_accepted`, which has the same
    `MetricError`.
    """
    return float(np.mean(~as_flags(ood_in, "ood_in")))


def f1_uncertain(uncertain: ArrayLike, wrong: ArrayLike) -> float:
    """Compute the F1 of the decision "uncertain" against "the prediction is wrong", wrong being positive.

    With TP = uncertain and wrong, FP = uncertain but right, FN = wrong but not uncertain, all of ID images,

        F1 = 2 TP / (2 TP + FP + FN).

    Where nothing is wrong and nothing was called uncertain (0/0), every decision is right and the value is 1.
    `uncertain` and `wrong` are (n,); raises `MetricError` for unequal lengths, empty or not boolean arrays.
    """
    uncertain, wrong = _decisions(uncertain, wrong)
    hits, claims = int((uncertain & wrong).sum()), int(uncertain.sum()) + int(wrong.sum())
    return 2 * hits / claims if claims else 1.0


def accuracy_uncertain(uncertain: ArrayLike, wrong: ArrayLike) -> float:
    """Compute the share of ID images where "uncertain" was said exactly when the prediction is wrong.

    Shapes, and `MetricError`, are those of `f1_uncertain`.
    """
    uncertain, wrong = _decisions(uncertain, wrong)
    return float(np.mean(uncertain == wrong))


def _decisions(uncertain: ArrayLike, wrong: ArrayLike) -> tuple[BoolArray, BoolArray]:
    """Return both as aligned booleans."""
    flags, truth = as_flags(uncertain, "uncertain"), as_flags(wrong, "wrong")
    check_aligned(flags, truth, "uncertain and wrong")
    return flags, truth
