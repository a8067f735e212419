"""The curves behind the numbers, as points to draw: ROC, risk against coverage, accuracy against confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.metrics.calibration import binned
from ood_toolkit.metrics.ranking import IntArray, Ranking
from ood_toolkit.metrics.scores import FloatArray
from ood_toolkit.metrics.selective import NAMES, selective_risk

__all__ = ["Bins", "RiskCoverage", "Roc", "reliability", "risk_coverage", "roc_curve"]


@dataclass(frozen=True, eq=False)
class Roc:
    """The corners of a ROC curve, from strict to loose; straight lines between them are the curve."""

    ood_accepted: FloatArray
    """(u,) share of OOD images at or above each threshold, from 0 to 1; never falls."""
    id_accepted: FloatArray
    """(u,) share of ID images at or above it, from 0 to 1; never falls."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Selective risk at each distinct score, from strict to loose."""

    coverage: FloatArray
    """(u,) share of images at or above each threshold, rising to 1."""
    risk: FloatArray
    """(u,) share of wrong predictions among those."""


@dataclass(frozen=True, eq=False)
class Bins:
    """Images by confidence, empty bins left out."""

    count: IntArray
    """(b,) images in each bin."""
    right: IntArray
    """(b,) right predictions among them."""
    confidence: FloatArray
    """(b,) their mean confidence."""

    @property
    def accuracy(self) -> FloatArray:
        """(b,) the share of right predictions."""
        return self.right / self.count


def roc_curve(id_scores: ArrayLike, ood_scores: ArrayLike) -> Roc:
    """Give the ROC curve with ID as the positive class, from (0, 0) to (1, 1).

    `id_scores` (n,) and `ood_scores` (m,), higher = more in-distribution. Points on a straight line between others are
    left out, so the area under straight lines between the points is `auroc`. Raises `MetricError` as `auroc` does.
    """
    counts = Ranking.of(id_scores, ood_scores).id_positive
    tp, fp = np.append(0, counts.tp), np.append(0, counts.fp)
    corners = np.ones(tp.size, dtype=np.bool_)
    corners[1:-1] = np.diff(tp)[:-1] * np.diff(fp)[1:] != np.diff(tp)[1:] * np.diff(fp)[:-1]
    return Roc(fp[corners] / counts.negatives, tp[corners] / counts.positives)


def risk_coverage(right_scores: ArrayLike, wrong_scores: ArrayLike) -> RiskCoverage:
    """Give the risk-coverage curve of which `aurc` is the area, a point for each distinct score.

    `right_scores` (r,) and `wrong_scores` (w,) are as for `aurc`, and so is `MetricError`. Source: Geifman et al.,
    arXiv 1805.08206.
    """
    counts = Ranking.of(right_scores, wrong_scores, NAMES).id_positive
    covered, risk = selective_risk(counts)
    return RiskCoverage(covered / int(covered[-1]), risk)


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 15) -> Bins:
    """Give accuracy and mean confidence in each of the bins of `ece`, the empty ones left out.

    `confidence` (n,), `right` (n,), `bins` and `MetricError` are those of `ece`, which is the mean over images of the
    gap between the two. Source: Guo et al., arXiv 1706.04599.
    """
    stated, hit, bin_of = binned(confidence, right, bins)
    count = np.bincount(bin_of, minlength=bins)
    held = count > 0
    sums = (np.bincount(bin_of, weights=values, minlength=bins)[held] for values in (hit, stated))
    hits, total = sums
    return Bins(count[held], hits.astype(np.int64), total / count[held])
