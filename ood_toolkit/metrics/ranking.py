"""The order of ID and OOD scores as integer counts: sorted once, ties grouped, shared by every metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ood_toolkit.metrics.scores import FloatArray, as_scores

IntArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """How many positives and negatives each distinct threshold lets through, from strict to loose.

    A threshold lets through everything at least as positive as itself, so images with equal scores always
    pass together. The point (0, 0), where nothing passes, is not stored; the last threshold passes all.
    """

    tp: IntArray
    """(u,) positives let through at each of the u distinct scores; never falls."""
    fp: IntArray
    """(u,) negatives let through; never falls."""

    @property
    def positives(self) -> int:
        """The number of positives in all."""
        return int(self.tp[-1])

    @property
    def negatives(self) -> int:
        """The number of negatives in all."""
        return int(self.fp[-1])


@dataclass(frozen=True, eq=False)
class Ranking:
    """Both readings of one sorted set of scores: with ID as the positive class and with OOD."""

    id_positive: Counts
    """Thresholds fall: `tp` counts ID scores >= t, `fp` counts OOD scores >= t."""
    ood_positive: Counts
    """Thresholds rise: `tp` counts OOD scores <= t, `fp` counts ID scores <= t."""

    @classmethod
    def of(
        cls, id_scores: ArrayLike, ood_scores: ArrayLike, names: tuple[str, str] = ("id_scores", "ood_scores")
    ) -> Ranking:
        """Sort `id_scores` (n,) and `ood_scores` (m,), higher = more in-distribution, and count.

        `names` is what errors call the two arrays; `MetricError` as for `as_scores`.
        """
        return cls._sorted(as_scores(id_scores, names[0]), as_scores(ood_scores, names[1]))

    @classmethod
    def _sorted(cls, id_scores: FloatArray, ood_scores: FloatArray) -> Ranking:
        pooled = np.concatenate([id_scores, ood_scores])  # (n + m,)
        order = np.argsort(pooled)
        pooled = pooled[order]
        last = np.flatnonzero(np.append(pooled[1:] != pooled[:-1], True))  # (u,) the end of each group of ties
        ood_below = np.cumsum(order >= id_scores.size, dtype=np.int64)[last]  # (u,) OOD scores <= t
        id_below = last.astype(np.int64) + 1 - ood_below
        return cls(
            id_positive=Counts(tp=_from_above(id_below), fp=_from_above(ood_below)),
            ood_positive=Counts(tp=ood_below, fp=id_below),
        )


def _from_above(below: IntArray) -> IntArray:
    """Turn counts of scores <= t, with t rising, into counts of scores >= t, with t falling."""
    above = np.empty_like(below)
    above[0] = below[-1]
    np.subtract(below[-1], below[:-1], out=above[1:])
    return above[::-1]
