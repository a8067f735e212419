"""Shares with their intervals: of what was counted, and of what a threshold will accept that was taken from a rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ood_toolkit.errors import MetricError

__all__ = ["Predicted", "Share", "accepted_share", "clopper_pearson", "predicted_count"]

EXACT = 1_000_000
"""Images up to which every count is summed over; of more, those within 15 standard deviations of the mean."""


@dataclass(frozen=True)
class Share:
    """A share between 0 and 1 with the ends of its interval."""

    value: float
    """The share that was counted."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end."""


@dataclass(frozen=True)
class Predicted:
    """A count that was predicted."""

    share: float
    """Its mean, as a share."""
    low: int
    """The least count that is not in the lower tail."""
    high: int
    """The largest count that is not in the upper tail."""
    chance: float
    """Of a count at least as far out, on its side of the distribution, as the one that was seen; two-sided."""


def clopper_pearson(count: int, n: int, level: float = 0.95) -> Share:
    """Give the share count / n with the exact interval of Clopper and Pearson (1934).

    It covers the true share at least as often as `level` says, where the n images are independent draws that had no
    part in choosing what is measured. `MetricError` for n below 1, a count outside 0 to n, and a level not
    between 0 and 1.
    """
    from scipy.special import betaincinv

    if not 0 <= count <= n or n < 1:
        raise MetricError(f"clopper_pearson: expected a count from 0 to n and n of at least 1, got {count} of {n}")
    _check_level("clopper_pearson", level)
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return Share(count / n, low, high)


def accepted_share(rank: int, n: int, level: float = 0.90) -> Share:
    """Give the share of future ID images that the threshold at the rank-th smallest of n scores accepts.

    Over calibration sets of n exchangeable images without ties it is Beta(n - rank + 1, rank) distributed: its mean,
    (n - rank + 1) / (n + 1), and its central interval. Rank 0 stands for minus infinity, which accepts everything;
    rank n + 1 for plus infinity. With ties more are accepted. `level` is how often the share lies inside. `MetricError`
    for a rank outside 0 to n + 1, and a level not between 0 and 1.
    """
    from scipy.special import betaincinv

    if not 0 <= rank <= n + 1 or n < 1:
        raise MetricError(f"accepted_share: expected a rank from 0 to n + 1 and n of at least 1, got {rank} of {n}")
    _check_level("accepted_share", level)
    if rank in (0, n + 1):
        return Share(float(rank == 0), float(rank == 0), float(rank == 0))
    tail = (1 - level) / 2
    low, high = (float(betaincinv(n - rank + 1, rank, p)) for p in (tail, 1 - tail))
    return Share((n - rank + 1) / (n + 1), low, high)


def predicted_count(a: float, b: float, n: int, count: int, level: float = 0.95) -> Predicted:
    """Say what count is to be expected of n images whose share is Beta(a, b) distributed, and where one count stands.

    The count is beta-binomial. Of n future ID images below the k-th smallest of m calibration scores it is that of
    Beta(k, m - k + 1), if all are exchangeable and without ties. `chance` is two-sided: twice the smaller tail that
    holds `count`, at most 1. `level` is how often the count lies from `low` to `high`. `MetricError` for a count
    outside 0 to n, and for a or b that is not above 0.
    """
    import numpy as np

    if not 0 <= count <= n or n < 1 or not (a > 0 and b > 0):
        raise MetricError(f"predicted_count: expected a count from 0 to n, and positive a and b; got {count} of {n}")
    mean, spread = a / (a + b), math.sqrt(a * b * (a + b + n) / (n * (a + b) ** 2 * (a + b + 1)))
    ends = (0, n) if n <= EXACT else (int(max(0, n * (mean - 15 * spread))), int(min(n, n * (mean + 15 * spread))))
    k = np.arange(ends[0], ends[1] + 1, dtype=np.float64)
    last = k[:-1]
    ratios = (n - last) * (last + a) / ((last + 1) * (n - last - 1 + b))  # of a count's probability to that before
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    each = np.exp(logs - logs.max())
    each /= each.sum()
    up_to, tail, place = np.cumsum(each), (1 - level) / 2, count - ends[0]
    from_on = np.cumsum(each[::-1])[::-1]
    low = int(np.searchsorted(up_to, tail, side="right"))
    high = len(k) - 1 - int(np.searchsorted(from_on[::-1], tail, side="right"))
    below = 0.0 if place < 0 else float(up_to[min(place, len(k) - 1)])
    above = 0.0 if place >= len(k) else float(from_on[max(place, 0)])
    return Predicted(mean, ends[0] + low, ends[0] + high, min(1.0, 2 * min(below, above)))


def _check_level(name: str, level: float) -> None:
    if not 0 < level < 1:
        raise MetricError(f"{name}: expected a level between 0 and 1, got {level}")
