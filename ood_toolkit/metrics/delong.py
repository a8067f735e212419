"""How sure an AUROC is: DeLong's variance and the confidence intervals made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.scores import FloatArray, as_scores

__all__ = [
    "Interval",
    "auroc_interval",
    "auroc_variance",
    "auroc_variance_of",
    "check_confidence",
    "normal_quantile",
    "placements",
]


@dataclass(frozen=True)
class Interval:
    """A confidence interval, ends included."""

    low: float
    """Lower end."""
    high: float
    """Upper end."""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def auroc_variance(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Estimate the variance of `auroc` over repeated draws of n ID and m OOD images.

    `id_scores` (n,) and `ood_scores` (m,) are as for `auroc`. V10 (n,) is the share of OOD images that each ID image
    outscores, ties half, V01 (m,) that of ID images that outscore each OOD image; AUROC = mean(V10) = mean(V01) and

        variance = var(V10) / n + var(V01) / m,     var with n - 1 and m - 1 in the denominator.

    0 where all ID and all OOD images have one placement each: perfect separation, or constant scores. Source:
    DeLong, DeLong and Clarke-Pearson, Biometrics 1988; by ranks in O((n + m) log(n + m)) as Sun and Xu, IEEE
    Signal Processing Letters 2014. Raises `MetricError` as `auroc` does and for fewer than two images in either.
    """
    return auroc_variance_of(*_sorted_placements(id_scores, ood_scores))


def auroc_interval(
    id_scores: ArrayLike, ood_scores: ArrayLike, confidence: float = 0.95, scale: Literal["logit", "plain"] = "logit"
) -> Interval:
    """Give DeLong's confidence interval of `auroc(id_scores, ood_scores)`.

    `scale="plain"` is A +- z s with s the root of `auroc_variance`, cut off at 0 and 1. `scale="logit"` takes the
    same step on the scale of ln(A / (1 - A)), where s becomes s / (A (1 - A)), and comes back: it stays inside
    (0, 1) and covers better near 1, see `docs/metrics.md`. Where the variance is 0 either interval is the point A: the
    images then say nothing of how far A could move. Raises `MetricError` as `auroc_variance` does, and for
    a confidence not between 0 and 1.
    """
    z = normal_quantile(confidence)
    if scale not in ("logit", "plain"):
        raise MetricError(f"scale: expected logit or plain, got {scale!r}")
    v10, v01 = _sorted_placements(id_scores, ood_scores)
    area, deviation = float(v10.mean()), math.sqrt(auroc_variance_of(v10, v01))
    if deviation == 0.0:
        return Interval(area, area)
    if scale == "plain":
        return Interval(max(0.0, area - z * deviation), min(1.0, area + z * deviation))
    centre, step = math.log(area / (1 - area)), z * deviation / (area * (1 - area))
    return Interval(_expit(centre - step), _expit(centre + step))


def placements(id_scores: FloatArray, ood_scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give V10 (n,), the share of OOD images that each ID image outscores, and V01 (m,), of ID that outscore each OOD.

    Ties count half. Their means are the AUROC.
    """
    return _share_below(id_scores, ood_scores), 1.0 - _share_below(ood_scores, id_scores)


def auroc_variance_of(v10: FloatArray, v01: FloatArray) -> float:
    """Give the variance of the AUROC whose placements these are, or of the difference of two."""
    if v10.size < 2 or v01.size < 2:
        raise MetricError(
            f"AUROC: expected at least two ID and two OOD images for its variance, got {v10.size} and {v01.size}; "
            "one image says nothing of spread"
        )
    return _spread(v10) / v10.size + _spread(v01) / v01.size


def check_confidence(confidence: float) -> float:
    """Refuse what is no confidence strictly between 0 and 1."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise MetricError(f"confidence: expected a number between 0 and 1, such as 0.95, got {confidence!r}")
    return float(confidence)


def normal_quantile(confidence: float) -> float:
    """Give the z with which a standard normal variable lies within +- z with this probability."""
    return NormalDist().inv_cdf((1 + check_confidence(confidence)) / 2)


def _sorted_placements(id_scores: ArrayLike, ood_scores: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Give placements in an order that is not the rows': sums of floats depend on it in the last digit."""
    return placements(np.sort(as_scores(id_scores, "id_scores")), np.sort(as_scores(ood_scores, "ood_scores")))


def _share_below(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Give for each score the share of the others below it, ties half; twice the share is counted in integers."""
    ordered = np.sort(others)
    twice = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    shares: FloatArray = twice / (2 * others.size)
    return shares


def _spread(values: FloatArray) -> float:
    """Give the sample variance; exactly 0 where all values are one, whatever the mean rounds to."""
    return 0.0 if (values == values[0]).all() else float(np.var(values, ddof=1))


def _expit(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
