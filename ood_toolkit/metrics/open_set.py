"""How well a classifier with a threshold does in an open set: right classes of ID accepted, against OOD accepted.

All take `id_scores` (n,), `ood_scores` (m,), higher = more in-distribution, and `right` (n,), whether the class
predicted for each ID image is its label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ood_toolkit.metrics.delong import Interval, check_confidence
from ood_toolkit.metrics.ranking import IntArray
from ood_toolkit.metrics.resampling import check_count, ends_of
from ood_toolkit.metrics.scores import BoolArray, FloatArray, as_flags, as_scores, check_aligned

__all__ = ["OpenSetCurve", "oscr", "oscr_curve", "oscr_interval"]


@dataclass(frozen=True, eq=False)
class OpenSetCurve:
    """Correct classification rate against false positive rate, from strict to loose, with straight lines between."""

    ood_accepted: FloatArray
    """(u + 1,) FPR: share of OOD images at or above each distinct score, from 0 to 1; never falls."""
    id_right: FloatArray
    """(u + 1,) CCR: share of ID images at or above it whose class is right, from 0 to the accuracy; never falls."""


def oscr(id_scores: ArrayLike, ood_scores: ArrayLike, right: ArrayLike) -> float:
    """Compute the area under the curve of open-set classification rate: `oscr_curve`.

    `id_scores` (n,) and `ood_scores` (m,) are as for `auroc`, `right` (n,) says whether the class predicted is the
    label. At each distinct score t as the threshold

        CCR(t) = #{ID >= t and right} / n,     FPR(t) = #{OOD >= t} / m,

    and the area is that under straight lines between the points, from (0, 0) to (1, accuracy). Ties and all it is
    accuracy times the AUROC of the rightly predicted ID images against OOD: the share of pairs of an ID and an OOD
    image in which the ID image is predicted rightly and scores higher, ties counting half. Never more than the
    accuracy. Source: Dhamija et al., NeurIPS 2018, arXiv 1811.04110, who plot the curve for the probability of the
    right class; the area, for any score, after Vaze et al., ICLR 2022, arXiv 2110.06207. Raises `MetricError` as
    `auroc` does, for flags that are none, and for another number of them than of ID scores.
    """
    inside, outside, hit = _checked(id_scores, ood_scores, right)
    place, distinct = _places(inside, outside)
    return _area(place[: inside.size][hit], place[inside.size :], distinct, inside.size)


def oscr_curve(id_scores: ArrayLike, ood_scores: ArrayLike, right: ArrayLike) -> OpenSetCurve:
    """Give the curve of which `oscr(id_scores, ood_scores, right)` is the area, a point for each distinct score.

    Raises `MetricError` as `oscr` does.
    """
    inside, outside, hit = _checked(id_scores, ood_scores, right)
    place, distinct = _places(inside, outside)
    accepted, correct = (
        np.append(0, np.cumsum(np.bincount(part, minlength=distinct)))
        for part in (place[inside.size :], place[: inside.size][hit])
    )
    return OpenSetCurve(accepted / outside.size, correct / inside.size)


def oscr_interval(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    right: ArrayLike,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Give the percentile interval of `oscr` from a stratified bootstrap, as `bootstrap` does for other metrics.

    `id_scores`, `ood_scores` and `right` are as for `oscr`. Whether its class is right is drawn with an ID image, so
    the accuracy varies, too. Raises `MetricError` as `oscr` does and for a number of replicates, seed or confidence out
    of range.
    """
    level = check_confidence(confidence)
    check_count("replicates", replicates, 1)
    check_count("seed", seed, 0)
    inside, outside, hit = _checked(id_scores, ood_scores, right)
    order = np.lexsort((hit, inside))  # tied images are told apart by the flag alone, not by their rows
    inside, hit, outside = inside[order], hit[order], np.sort(outside)
    place, distinct = _places(inside, outside)
    n, m = inside.size, outside.size
    generator, values = np.random.default_rng(seed), np.empty((replicates, 1))
    for row in values:
        drawn, others = generator.integers(0, n, n), generator.integers(0, m, m)
        row[0] = _area(place[drawn[hit[drawn]]], place[n:][others], distinct, n)
    low, high = ends_of(values, level)
    return Interval(float(low[0]), float(high[0]))


def _checked(id_scores: ArrayLike, ood_scores: ArrayLike, right: ArrayLike) -> tuple[FloatArray, FloatArray, BoolArray]:
    inside, outside, hit = (
        as_scores(id_scores, "id_scores"),
        as_scores(ood_scores, "ood_scores"),
        as_flags(right, "right"),
    )
    check_aligned(inside, hit, "id_scores and right")
    return inside, outside, hit


def _places(inside: FloatArray, outside: FloatArray) -> tuple[IntArray, int]:
    """Give which of the u distinct scores, in falling order, each image has (n + m,), and u."""
    distinct, place = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    return distinct.size - 1 - place.reshape(-1), distinct.size


def _area(right: IntArray, ood: IntArray, distinct: int, images: int) -> float:
    """Return the area from the places of rightly predicted ID images and of OOD images among the distinct scores."""
    above = np.cumsum(np.bincount(right, minlength=distinct))  # (u,) right ones at or above each score
    steps = np.bincount(ood, minlength=distinct)
    twice = np.sum(steps * (2 * above - np.diff(above, prepend=0)))  # an integer: the ratio is rounded once
    return int(twice) / (2 * images * ood.size)
