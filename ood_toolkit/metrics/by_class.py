"""Metrics of an OOD set class by class, and their mean, in which each class counts the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.protocols import Protocol, find_protocol
from ood_toolkit.metrics.ranking import Ranking
from ood_toolkit.metrics.scores import as_scores, check_aligned

__all__ = ["evaluate_by_class", "macro_average"]


def evaluate_by_class(
    id_scores: ArrayLike, ood_scores: ArrayLike, ood_classes: ArrayLike, protocol: str | Protocol = "native"
) -> dict[object, dict[str, float]]:
    """Compute all metrics of a protocol for each class of an OOD set against all of ID, in the order of the classes.

    `id_scores` (n,), `ood_scores` (m,), higher = more in-distribution; `ood_classes` (m,) are the OOD images' own
    classes, as whole numbers or texts. Raises `MetricError` as `evaluate` does, and where the classes are neither, or
    not one for each OOD image.
    """
    rules = protocol if isinstance(protocol, Protocol) else find_protocol(protocol)
    inside, outside = as_scores(id_scores, "id_scores"), as_scores(ood_scores, "ood_scores")
    classes = np.asarray(ood_classes)
    if classes.ndim != 1 or classes.dtype.kind not in "iuUO":
        raise MetricError(
            f"ood_classes: expected one whole number or text for each OOD image, got {classes.dtype} of shape "
            f"{classes.shape}"
        )
    classes = classes.astype(str) if classes.dtype.kind == "O" else classes
    check_aligned(outside, classes, "ood_scores and ood_classes")
    names, place = np.unique(classes, return_inverse=True)
    order = np.argsort(place.reshape(-1), kind="stable")
    parts = np.split(outside[order], np.cumsum(np.bincount(place.reshape(-1)))[:-1])
    found = zip(names.tolist(), parts, strict=True)
    return {name: rules.evaluate(Ranking.of(inside, part)) for name, part in found}


def macro_average(
    id_scores: ArrayLike, ood_scores: ArrayLike, ood_classes: ArrayLike, protocol: str | Protocol = "native"
) -> dict[str, float]:
    """Compute the unweighted mean over the classes of an OOD set of all metrics of a protocol.

    For C classes with images O_c, and a metric M, it is 1/C sum_c M(I, O_c): a class with few images counts as much as
    one with many. Source: Bitterwolf et al. (NINCO), ICML 2023, arXiv 2306.00826, whose code averages AUROC and FPR so.
    `id_scores` (n,), `ood_scores` (m,), `ood_classes` (m,) and `MetricError` are as for `evaluate_by_class`.
    """
    found = list(evaluate_by_class(id_scores, ood_scores, ood_classes, protocol).values())
    return {key: float(np.mean([values[key] for values in found])) for key in found[0]}
