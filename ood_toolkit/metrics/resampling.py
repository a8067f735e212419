"""How sure any metric is: intervals from resampling ID and OOD images, each within itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.delong import Interval, auroc_interval, check_confidence
from ood_toolkit.metrics.protocols import Protocol, find_protocol
from ood_toolkit.metrics.ranking import Counts, IntArray, Ranking
from ood_toolkit.metrics.scores import FloatArray, as_scores

__all__ = ["bootstrap", "check_count", "ends_of", "intervals", "percentiles", "resampled"]

Pair: TypeAlias = tuple[FloatArray, FloatArray]


def intervals(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    protocol: str | Protocol = "native",
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Give an interval for every metric of a protocol: DeLong's for `auroc`, `bootstrap` for the rest.

    `id_scores` (n,), `ood_scores` (m,), `replicates`, `seed`, `confidence` and `MetricError` are those of `bootstrap`.
    """
    found = bootstrap(id_scores, ood_scores, protocol, replicates, seed, confidence)
    return found | {"auroc": auroc_interval(id_scores, ood_scores, confidence)} if "auroc" in found else found


def bootstrap(
    id_scores: ArrayLike,
    ood_scores: ArrayLike,
    protocol: str | Protocol = "native",
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Give percentile intervals for every metric of a protocol from a stratified bootstrap.

    Each replicate draws n of `id_scores` (n,) and m of `ood_scores` (m,) with replacement, and computes the metrics.
    With R replicates and a = (1 - confidence) / 2 the interval ends at the values in places a (R + 1) from
    either end, interpolated, which leaves a share a outside for any R >= 1 / a - 1. Scores are sorted once: a
    replicate is a number of images for each distinct score. Images are drawn by rank, so the result depends on the
    seed and not on the order of the rows, and a strictly rising map changes nothing. Source: Efron and Tibshirani,
    An Introduction to the Bootstrap, 1993, chapter 13. Raises `MetricError` as `evaluate` does and for a number of
    replicates, seed or confidence out of range.
    """
    rules = protocol if isinstance(protocol, Protocol) else find_protocol(protocol)
    level = check_confidence(confidence)
    pair = as_scores(id_scores, "id_scores"), as_scores(ood_scores, "ood_scores")
    values = resampled([pair], rules, replicates, seed)[:, 0]  # (replicates, metrics)
    return percentiles(rules, values, level)


def percentiles(protocol: Protocol, values: FloatArray, confidence: float) -> dict[str, Interval]:
    """Turn values (replicates, metrics) into one percentile interval for each metric."""
    ends = ends_of(values, confidence)
    return {key: Interval(float(low), float(high)) for key, (low, high) in zip(protocol.measures, ends.T, strict=True)}


def ends_of(values: FloatArray, confidence: float) -> FloatArray:
    """Give the lower and the upper percentiles (2, metrics) of values (replicates, metrics)."""
    tail = (1 - confidence) / 2
    ends: FloatArray = np.quantile(values, [tail, 1 - tail], axis=0, method="weibull")
    return ends


def resampled(scorers: Sequence[Pair], protocol: Protocol, replicates: int, seed: int) -> FloatArray:
    """Compute the metrics (replicates, scorers, metrics) of resampled images, the same images for all scorers.

    `scorers` are pairs of ID scores (n,) and OOD scores (m,), row-aligned from one scorer to the next.
    """
    check_count("replicates", replicates, 1)
    check_count("seed", seed, 0)
    n, m = scorers[0][0].size, scorers[0][1].size
    orders = tuple(_common_order([pair[side] for pair in scorers]) for side in (0, 1))
    groups = [_Groups.of(id_scores[orders[0]], ood_scores[orders[1]]) for id_scores, ood_scores in scorers]
    values = np.empty((replicates, len(scorers), len(protocol.measures)))
    for place, (id_drawn, ood_drawn) in enumerate(_draws(n, m, replicates, seed)):
        for scorer, group in enumerate(groups):
            values[place, scorer] = list(protocol.evaluate(group.ranking(id_drawn, ood_drawn)).values())
    return values


@dataclass(frozen=True, eq=False)
class _Groups:
    """Which of the u distinct scores, in rising order, each image has."""

    of_id: NDArray[np.intp]
    of_ood: NDArray[np.intp]
    count: int

    @classmethod
    def of(cls, id_scores: FloatArray, ood_scores: FloatArray) -> _Groups:
        distinct, place = np.unique(np.concatenate([id_scores, ood_scores]), return_inverse=True)
        place = place.reshape(-1)
        return cls(place[: id_scores.size], place[id_scores.size :], distinct.size)

    def ranking(self, id_drawn: IntArray, ood_drawn: IntArray) -> Ranking:
        """Count a resample, given as rows of images that were drawn."""
        id_count = np.bincount(self.of_id[id_drawn], minlength=self.count)  # (u,)
        ood_count = np.bincount(self.of_ood[ood_drawn], minlength=self.count)
        # A score that nobody in the resample has is no threshold of it; published rules count thresholds.
        drawn = (id_count + ood_count) > 0
        id_count, ood_count = id_count[drawn], ood_count[drawn]
        return Ranking(
            id_positive=Counts(tp=np.cumsum(id_count[::-1]), fp=np.cumsum(ood_count[::-1])),
            ood_positive=Counts(tp=np.cumsum(ood_count), fp=np.cumsum(id_count)),
        )


def _common_order(columns: Sequence[FloatArray]) -> NDArray[np.intp]:
    """Order images by their scores, so that rows that are told apart by nothing else may come in any order."""
    return np.lexsort(tuple(columns))


def _draws(n: int, m: int, replicates: int, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    generator = np.random.default_rng(seed)
    for _ in range(replicates):
        yield generator.integers(0, n, n), generator.integers(0, m, m)


def check_count(name: str, value: int, least: int) -> None:
    """Refuse what is no whole number, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise MetricError(f"{name}: expected a whole number of at least {least}, got {value!r}")
