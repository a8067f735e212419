"""Whether one scorer is better than another on the same images: paired tests, and Holm's correction for many."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.delong import auroc_variance_of, check_confidence, normal_quantile, placements
from ood_toolkit.metrics.protocols import Protocol, find_protocol
from ood_toolkit.metrics.ranking import Ranking
from ood_toolkit.metrics.resampling import Pair, percentiles, resampled
from ood_toolkit.metrics.scores import FloatArray, as_scores, check_aligned

__all__ = ["Difference", "delong_test", "holm", "paired_bootstrap"]


@dataclass(frozen=True)
class Difference:
    """How much more one scorer has of a metric than another, on the same images."""

    first: float
    """The metric of the first scorer, a."""
    second: float
    """The metric of the second, b."""
    low: float
    """Lower end of the confidence interval of `value`."""
    high: float
    """Upper end."""
    p: float
    """Two-sided p-value of "there is no difference"; of this one test alone, see `holm`."""

    @property
    def value(self) -> float:
        """The difference, first - second."""
        return self.first - self.second


def delong_test(
    id_a: ArrayLike, ood_a: ArrayLike, id_b: ArrayLike, ood_b: ArrayLike, confidence: float = 0.95
) -> Difference:
    """Test whether two scorers have one AUROC, on the same images in the same order.

    `id_a`, `id_b` (n,) and `ood_a`, `ood_b` (m,). With the placements V10 and V01 of both scorers,

        variance(A_a - A_b) = var(V10_a - V10_b) / n + var(V01_a - V01_b) / m,

    which is the sum of both variances less twice their covariance. z = (A_a - A_b) / root of it, p = P(|N(0, 1)|
    >= |z|), and the interval is the difference +- z(confidence) times the root. Where the variance is 0 the interval
    is a point, and p is 1 for no difference and 0, the limit of the formula, for one: such a p says that the data
    show no spread, as with a perfect against a constant scorer. Source: DeLong, DeLong and Clarke-Pearson, Biometrics
    1988. Raises `MetricError` as `auroc_interval` does, and for arrays of unequal lengths.
    """
    step = normal_quantile(confidence)
    (v10_a, v01_a), (v10_b, v01_b) = (placements(*pair) for pair in _pairs(id_a, ood_a, id_b, ood_b))
    first, second = float(v10_a.mean()), float(v10_b.mean())
    deviation = math.sqrt(auroc_variance_of(v10_a - v10_b, v01_a - v01_b))
    difference = first - second
    if deviation == 0.0:
        return Difference(first, second, difference, difference, 1.0 if difference == 0.0 else 0.0)
    p = math.erfc(abs(difference) / deviation / math.sqrt(2))
    return Difference(first, second, difference - step * deviation, difference + step * deviation, p)


def paired_bootstrap(
    id_a: ArrayLike,
    ood_a: ArrayLike,
    id_b: ArrayLike,
    ood_b: ArrayLike,
    protocol: str | Protocol = "native",
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Difference]:
    """Test for every metric of a protocol whether two scorers differ, on the same images in the same order.

    `id_a`, `id_b` (n,) and `ood_a`, `ood_b` (m,); `seed` and `confidence` are as for `bootstrap`. Each replicate draws
    images as that does, the same ones for both scorers, and takes the difference d* of each metric. The interval is
    that of its percentiles. With R replicates

        p = min(1, 2 (1 + min(#{d* <= 0}, #{d* >= 0})) / (R + 1)),

    twice the share on the rarer side of no difference, where the 1s count the sample itself: p is never below
    2 / (R + 1). Raises `MetricError` as `bootstrap` does, and for arrays of unequal lengths.
    """
    rules = protocol if isinstance(protocol, Protocol) else find_protocol(protocol)
    level = check_confidence(confidence)
    pairs = _pairs(id_a, ood_a, id_b, ood_b)
    values = resampled(pairs, rules, replicates, seed)  # (replicates, 2, metrics)
    apart = values[:, 0] - values[:, 1]  # (replicates, metrics)
    rarer = np.minimum((apart <= 0).sum(axis=0), (apart >= 0).sum(axis=0))  # (metrics,)
    p_values = np.minimum(1.0, 2 * (1 + rarer) / (replicates + 1))
    ends = percentiles(rules, apart, level)
    first, second = (rules.evaluate(Ranking.of(*pair)) for pair in pairs)
    return {
        key: Difference(first[key], second[key], ends[key].low, ends[key].high, float(p))
        for key, p in zip(rules.measures, p_values, strict=True)
    }


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct `p_values` (t,) of a family of t tests so that the chance of any false finding is bounded.

    With p_(1) <= ... <= p_(t), the corrected p_(i) = max over j <= i of min(1, (t - j + 1) p_(j)), given back in the
    order in which they came. Any dependence among the tests is allowed. Source: Holm, Scandinavian Journal of
    Statistics 1979. Raises `MetricError` for what is no p-value.
    """
    given = as_scores(p_values, "p_values")
    if ((given < 0) | (given > 1)).any():
        raise MetricError(f"p_values: expected numbers from 0 to 1, got {given[(given < 0) | (given > 1)][0]:g}")
    order = np.argsort(given, kind="stable")
    corrected = np.empty_like(given)
    corrected[order] = np.maximum.accumulate(np.minimum(1.0, given[order] * np.arange(given.size, 0, -1)))
    return corrected


def _pairs(id_a: ArrayLike, ood_a: ArrayLike, id_b: ArrayLike, ood_b: ArrayLike) -> tuple[Pair, Pair]:
    """Return both scorers' arrays, checked to speak of as many images, in an order that is not the rows'."""
    first: tuple[FloatArray, FloatArray] = as_scores(id_a, "id_a"), as_scores(ood_a, "ood_a")
    second = as_scores(id_b, "id_b"), as_scores(ood_b, "ood_b")
    check_aligned(first[0], second[0], "id_a and id_b")
    check_aligned(first[1], second[1], "ood_a and ood_b")
    inside, outside = np.lexsort((first[0], second[0])), np.lexsort((first[1], second[1]))
    return (first[0][inside], first[1][outside]), (second[0][inside], second[1][outside])
