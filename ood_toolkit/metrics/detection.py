"""How well scores tell in-distribution from out-of-distribution images: one function per metric.

All take `id_scores` (n,) and `ood_scores` (m,), lists, arrays or torch tensors, higher = more
in-distribution, and give a share between 0 and 1. They are computed in float64 from integer counts with equal
scores grouped, so no result depends on the order of the rows or changes under a strictly rising map of the
scores. Infinities are the ends of the order. All raise `MetricError` for an array that is empty, not
one-dimensional or holds NaN. For several metrics of the same scores `evaluate` sorts once.
"""

from __future__ import annotations

from typing import Literal

from numpy.typing import ArrayLike

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.levels import as_level
from ood_toolkit.metrics.precision_recall import step_area, trapezoid_area
from ood_toolkit.metrics.ranking import Ranking
from ood_toolkit.metrics.roc import fpr95_first, fpr_first, least_error, roc_area


def auroc(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the probability that a random ID image scores higher than a random OOD image, ties half.

    The area under the ROC curve is the same for either positive class. Source: Hanley and McNeil, Radiology
    1982; for OOD detection Hendrycks and Gimpel, arXiv 1610.02136.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return roc_area(Ranking.of(id_scores, ood_scores).id_positive)


def fpr95_id(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the share of OOD images taken for ID when at least 95 % of the ID images are accepted.

    The FPR95 of the CLIP papers: ID is positive, and the threshold is the highest score t for which
    20 #{ID >= t} >= 19 n. Source: Liang et al. (ODIN), arXiv 1706.02690; MCM, arXiv 2211.13445.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return fpr95_first(Ranking.of(id_scores, ood_scores).id_positive)


def fpr95_ood(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the share of ID images rejected when at least 95 % of the OOD images are caught.

    The FPR95 of OpenOOD and pytorch-ood: OOD is positive, and the threshold is the lowest score t for which
    20 #{OOD <= t} >= 19 m. Another quantity than `fpr95_id`. Source: OpenOOD v1.5, arXiv 2306.09301; here
    without dropping points, as pytorch-ood counts it.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return fpr95_first(Ranking.of(id_scores, ood_scores).ood_positive)


def fpr_at(
    id_scores: ArrayLike, ood_scores: ArrayLike, level: float = 0.95, positive: Literal["id", "ood"] = "id"
) -> float:
    """Compute FPR at any true positive rate: `fpr95_id`, or with `positive="ood"` `fpr95_ood`, with another level.

    `id_scores` (n,) and `ood_scores` (m,) are as for `fpr95_id`. `level` is the share of the positive class that is
    accepted (ID) or caught (OOD), above 0 and at most 1. It is taken as the decimal number that it is written as, and
    compared exactly: with 0.9 the threshold is the highest t for which 10 #{ID >= t} >= 9 n, or the lowest for which 10
    #{OOD <= t} >= 9 m. Rows of a report call these `fpr90_id` and `fpr90_ood`. Raises `MetricError` for a level or a
    class that is none of these, too.
    """
    if positive not in ("id", "ood"):
        raise MetricError(f"positive: expected id or ood, got {positive!r}")
    ranking, share = Ranking.of(id_scores, ood_scores), as_level(level)
    return fpr_first(ranking.id_positive if positive == "id" else ranking.ood_positive, share)


def tnr_at_tpr95(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the share of OOD images rejected when at least 95 % of the ID images are accepted.

    This is 1 - `fpr95_id`. Source: Lee et al., arXiv 1807.03888.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return 1.0 - fpr95_id(id_scores, ood_scores)


def aupr_in(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the trapezoid area under the precision-recall curve with ID as the positive class.

    The curve starts at recall 0, precision 1, and its value depends on n : m. Source: OpenOOD v1.5,
    arXiv 2306.09301. The MCM family prints `ap_in` under the name AUPR.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return trapezoid_area(Ranking.of(id_scores, ood_scores).id_positive)


def aupr_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the trapezoid area under the precision-recall curve with OOD as the positive class.

    Low scores are the positive end here. Source: OpenOOD v1.5, arXiv 2306.09301.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return trapezoid_area(Ranking.of(id_scores, ood_scores).ood_positive)


def ap_in(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the average precision (step rule) with ID as the positive class.

    The AUPR of MCM, arXiv 2211.13445, and of NegLabel, arXiv 2403.20078.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return step_area(Ranking.of(id_scores, ood_scores).id_positive)


def ap_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the average precision (step rule) with OOD as the positive class.

    The AUPR of Hendrycks et al., arXiv 1812.04606. Low scores are the positive end here.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return step_area(Ranking.of(id_scores, ood_scores).ood_positive)


def detection_error(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the least (FPR + FNR) / 2 over all thresholds: the error at equal shares of ID and OOD.

    Never above 0.5, the error of accepting or rejecting everything; the same for either positive class.
    Source: Liang et al. (ODIN), arXiv 1706.02690.
    `id_scores` (n,) and `ood_scores` (m,) are higher for ID. Raises `MetricError` where one is empty, not
    one-dimensional or holds NaN.
    """
    return least_error(Ranking.of(id_scores, ood_scores).id_positive)
