"""How well scores tell in-distribution from out-of-distribution images: one function per metric.

All take `id_scores` (n,) and `ood_scores` (m,), lists, arrays or torch tensors, higher = more
in-distribution, and give a share between 0 and 1. They are computed in float64 from integer counts with equal
scores grouped, so no result depends on the order of the rows or changes under a strictly rising map of the
scores. Infinities are the ends of the order. All raise `MetricError` for an array that is empty, not
one-dimensional or holds NaN. For several metrics of the same scores `evaluate` sorts once.
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from ood_toolkit.metrics.precision_recall import step_area, trapezoid_area
from ood_toolkit.metrics.ranking import Ranking
from ood_toolkit.metrics.roc import fpr95_first, least_error, roc_area


def auroc(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the probability that a random ID image scores higher than a random OOD image, ties half.

    The area under the ROC curve is the same for either positive class. Source: Hanley and McNeil, Radiology
    1982; for OOD detection Hendrycks and Gimpel, arXiv 1610.02136.
    """
    return roc_area(Ranking.of(id_scores, ood_scores).id_positive)


def fpr95_id(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the share of OOD images taken for ID when at least 95 % of the ID images are accepted.

    The FPR95 of the CLIP papers: ID is positive, and the threshold is the highest score t for which
    20 #{ID >= t} >= 19 n. Source: Liang et al. (ODIN), arXiv 1706.02690; MCM, arXiv 2211.13445.
    """
    return fpr95_first(Ranking.of(id_scores, ood_scores).id_positive)


def fpr95_ood(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the share of ID images rejected when at least 95 % of the OOD images are caught.

    The FPR95 of OpenOOD and pytorch-ood: OOD is positive, and the threshold is the lowest score t for which
    20 #{OOD <= t} >= 19 m. Another quantity than `fpr95_id`. Source: OpenOOD v1.5, arXiv 2306.09301; here
    without dropping points, as pytorch-ood counts it.
    """
    return fpr95_first(Ranking.of(id_scores, ood_scores).ood_positive)


def tnr_at_tpr95(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the share of OOD images rejected when at least 95 % of the ID images are accepted.

    This is 1 - `fpr95_id`. Source: Lee et al., arXiv 1807.03888.
    """
    return 1.0 - fpr95_id(id_scores, ood_scores)


def aupr_in(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the trapezoid area under the precision-recall curve with ID as the positive class.

    The curve starts at recall 0, precision 1, and its value depends on n : m. Source: OpenOOD v1.5,
    arXiv 2306.09301. The MCM family prints `ap_in` under the name AUPR.
    """
    return trapezoid_area(Ranking.of(id_scores, ood_scores).id_positive)


def aupr_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the trapezoid area under the precision-recall curve with OOD as the positive class.

    Low scores are the positive end here. Source: OpenOOD v1.5, arXiv 2306.09301.
    """
    return trapezoid_area(Ranking.of(id_scores, ood_scores).ood_positive)


def ap_in(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the average precision (step rule) with ID as the positive class.

    The AUPR of MCM, arXiv 2211.13445, and of NegLabel, arXiv 2403.20078.
    """
    return step_area(Ranking.of(id_scores, ood_scores).id_positive)


def ap_out(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the average precision (step rule) with OOD as the positive class.

    The AUPR of Hendrycks et al., arXiv 1812.04606. Low scores are the positive end here.
    """
    return step_area(Ranking.of(id_scores, ood_scores).ood_positive)


def detection_error(id_scores: ArrayLike, ood_scores: ArrayLike) -> float:
    """Compute the least (FPR + FNR) / 2 over all thresholds: the error at equal shares of ID and OOD.

    Never above 0.5, the error of accepting or rejecting everything; the same for either positive class.
    Source: Liang et al. (ODIN), arXiv 1706.02690.
    """
    return least_error(Ranking.of(id_scores, ood_scores).id_positive)
