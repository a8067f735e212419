"""How sure the areas of right against wrong predictions are: intervals from resampling the ID images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.delong import Interval, auroc_interval, check_confidence
from ood_toolkit.metrics.ranking import Counts
from ood_toolkit.metrics.resampling import check_count, ends_of
from ood_toolkit.metrics.scores import FloatArray, as_scores
from ood_toolkit.metrics.selective import AREAS, NAMES, risk_areas

__all__ = ["selective_intervals"]


def selective_intervals(
    right_scores: ArrayLike,
    wrong_scores: ArrayLike,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Give an interval for `auroc`, `aurc`, `eaurc` and `augrc` of `right_scores` (r,) against `wrong_scores` (w,).

    `auroc` has DeLong's, the rest percentiles of a bootstrap as in `bootstrap`, with one difference: each replicate
    draws r + w images from all of them together, so that the error rate, which is a part of the areas, varies too. A
    replicate without a wrong image has the areas 0, one without a right image the areas of an error rate of 1. Source:
    Traub et al., arXiv 2407.01032, whose code resamples so. Raises `MetricError` as `aurc` does, for fewer than two
    right or wrong images, and for a number of replicates, seed or confidence out of range.
    """
    level = check_confidence(confidence)
    check_count("replicates", replicates, 1)
    check_count("seed", seed, 0)
    right, wrong = np.sort(as_scores(right_scores, NAMES[0])), np.sort(as_scores(wrong_scores, NAMES[1]))
    if right.size < 2 or wrong.size < 2:
        raise MetricError(
            f"AUROC: expected at least two right and two wrong predictions for its variance, got {right.size} and "
            f"{wrong.size}; one image says nothing of spread"
        )
    found = {"auroc": auroc_interval(right, wrong, level)}
    values = _resampled(right, wrong, replicates, seed)  # (replicates, areas)
    low, high = ends_of(values, level)
    return found | {key: Interval(float(a), float(b)) for key, a, b in zip(AREAS, low, high, strict=True)}


def _resampled(right: FloatArray, wrong: FloatArray, replicates: int, seed: int) -> FloatArray:
    """Compute the areas (replicates, areas) of resampled images, which are counts for each distinct score."""
    distinct, place = np.unique(np.concatenate([right, wrong]), return_inverse=True)
    place = distinct.size - 1 - place.reshape(-1)  # (n,) from strict to loose
    generator = np.random.default_rng(seed)
    values = np.empty((replicates, len(AREAS)))
    for row in values:
        drawn = generator.integers(0, place.size, place.size)
        tp = np.bincount(place[drawn[drawn < right.size]], minlength=distinct.size)
        fp = np.bincount(place[drawn[drawn >= right.size]], minlength=distinct.size)
        seen = (tp + fp) > 0
        row[:] = list(risk_areas(Counts(tp=np.cumsum(tp[seen]), fp=np.cumsum(fp[seen]))).values())
    return values
