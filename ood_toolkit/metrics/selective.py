"""How well scores tell right from wrong predictions on ID images: areas under two curves of risk against coverage.

All take `right_scores` (r,) and `wrong_scores` (w,): the scores, higher = more certain, of the ID images
whose class was predicted rightly and wrongly. `auroc(right_scores, wrong_scores)` is the AUROC of right
against wrong. A model without errors (or without a right answer) has nothing to rank: an empty array is a
`MetricError` here as everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.metrics.ranking import Counts, IntArray, Ranking
from ood_toolkit.metrics.roc import roc_area
from ood_toolkit.metrics.scores import FloatArray

NAMES = ("right_scores", "wrong_scores")
AREAS = ("aurc", "eaurc", "augrc")
"""What `risk_areas` gives, in this order."""


def aurc(right_scores: ArrayLike, wrong_scores: ArrayLike) -> float:
    """Compute the area under the risk-coverage curve of `right_scores` (r,) and `wrong_scores` (w,); lower is better.

    The distinct scores t_1 > ... > t_u are the thresholds. With N_g images at or above t_g, W_g of them
    wrong, the selective risk is W_g / N_g, and

        AURC = sum_g (N_g - N_{g-1}) / N * W_g / N_g,     N_0 = 0, N = r + w:

    each image counts the risk at its own threshold, so ties share one value and no row order matters.
    Source: Geifman et al., arXiv 1805.08206. Raises `MetricError` as in `ood_toolkit.metrics.detection`.
    """
    return _risk_area(Ranking.of(right_scores, wrong_scores, NAMES).id_positive)


def eaurc(right_scores: ArrayLike, wrong_scores: ArrayLike) -> float:
    """Compute the excess of `aurc(right_scores, wrong_scores)` over a perfect ranking of the same predictions.

    The perfect ranking has distinct scores, all right ones first; by the same discrete rule

        AURC* = 1 / (r + w) * sum_{j=1..w} j / (r + j),     E-AURC = AURC - AURC* >= 0.

    AURC* is exact and the least any scores can reach; Geifman et al., arXiv 1805.08206, approximate it by
    e + (1 - e) ln(1 - e) with error rate e. Raises `MetricError` as `aurc` does.
    """
    counts = Ranking.of(right_scores, wrong_scores, NAMES).id_positive
    # Rounding may leave a perfect ranking at -1e-17.
    return max(0.0, _risk_area(counts) - _least_risk_area(counts.positives, counts.negatives))


def augrc(right_scores: ArrayLike, wrong_scores: ArrayLike) -> float:
    """Compute the area under the generalized risk-coverage curve; lower is better.

    `right_scores` (r,) and `wrong_scores` (w,) are as for `aurc`. The generalized risk at a threshold is the share of
    all images that are at or above it and wrong, W_g / N in the words of `aurc`: the risk of an undetected failure.
    With straight lines between the points (N_g / N, W_g / N) and from (0, 0),

        AUGRC = sum_g (N_g - N_{g-1}) / N * (W_g + W_{g-1}) / (2 N),     N_0 = W_0 = 0,

    so that with the error rate e = w / N, ties and all, AUGRC = e (1 - e) (1 - AUROC) + e^2 / 2, where AUROC is that of
    right against wrong: from e^2 / 2 for a perfect ranking to e - e^2 / 2 for the worst one. Source: Traub et al.,
    NeurIPS 2024, arXiv 2407.01032. Raises `MetricError` as `aurc` does.
    """
    return _generalized_risk_area(Ranking.of(right_scores, wrong_scores, NAMES).id_positive)


def right_from_wrong(right_scores: ArrayLike, wrong_scores: ArrayLike) -> dict[str, float]:
    """Compute `auroc`, `aurc`, `eaurc` and `augrc` of right (r,) against wrong (w,) predictions from one sort."""
    counts = Ranking.of(right_scores, wrong_scores, NAMES).id_positive
    return {"auroc": roc_area(counts), **risk_areas(counts)}


def risk_areas(counts: Counts) -> dict[str, float]:
    """Compute `aurc`, `eaurc` and `augrc` from counts with right predictions as positives; either may have none."""
    area, least = _risk_area(counts), _least_risk_area(counts.positives, counts.negatives)
    return dict(zip(AREAS, (area, max(0.0, area - least), _generalized_risk_area(counts)), strict=True))


def _risk_area(counts: Counts) -> float:
    """Return the mean over images of the selective risk at their own threshold."""
    covered, risk = selective_risk(counts)
    return float(np.sum(np.diff(covered, prepend=0) * risk)) / int(covered[-1])


def selective_risk(counts: Counts) -> tuple[IntArray, FloatArray]:
    """Return how many images are at or above each threshold, and the share of wrong ones among them, (u,) each."""
    covered = counts.tp + counts.fp
    return covered, counts.fp / covered


def _generalized_risk_area(counts: Counts) -> float:
    """Return the trapezoid area under wrong predictions against images, both as shares of all images."""
    covered = counts.tp + counts.fp
    images = int(covered[-1])
    before = np.concatenate([np.zeros(1, dtype=np.int64), counts.fp[:-1]])
    twice = np.sum(np.diff(covered, prepend=0) * (counts.fp + before))  # an integer: the ratio is rounded once
    return int(twice) / (2 * images**2)


def _least_risk_area(right: int, wrong: int) -> float:
    """Return the area that is left when every right prediction outranks every wrong one, without ties."""
    j = np.arange(1, wrong + 1)
    return float(np.sum(j / (right + j))) / (right + wrong)
