"""Shares with their intervals: of what was counted, and of what a threshold will accept that was taken from a rank."""

from __future__ import annotations

from dataclasses import dataclass

from ood_toolkit.errors import MetricError

__all__ = ["Share", "accepted_share", "clopper_pearson"]


@dataclass(frozen=True)
class Share:
    """A share between 0 and 1 with the ends of its interval."""

    value: float
    low: float
    high: float


def clopper_pearson(count: int, n: int, level: float = 0.95) -> Share:
    """Give the share count / n with the exact interval of Clopper and Pearson (1934).

    It covers the true share at least as often as `level` says, where the n images are independent draws that had no
    part in choosing what is measured. `MetricError` for n below 1 and a count outside 0 to n.
    """
    from scipy.special import betaincinv

    if not 0 <= count <= n or n < 1:
        raise MetricError(f"clopper_pearson: expected a count from 0 to n and n of at least 1, got {count} of {n}")
    if not 0 < level < 1:
        raise MetricError(f"clopper_pearson: expected a level between 0 and 1, got {level}")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return Share(count / n, low, high)


def accepted_share(rank: int, n: int, level: float = 0.90) -> Share:
    """Give the share of future ID images that the threshold at the rank-th smallest of n scores accepts.

    Over calibration sets of n exchangeable images without ties it is Beta(n - rank + 1, rank) distributed: its mean,
    (n - rank + 1) / (n + 1), and its central interval. Rank 0 stands for minus infinity, which accepts everything;
    rank n + 1 for plus infinity. With ties more are accepted. `MetricError` for a rank outside 0 to n + 1.
    """
    from scipy.special import betaincinv

    if not 0 <= rank <= n + 1 or n < 1:
        raise MetricError(f"accepted_share: expected a rank from 0 to n + 1 and n of at least 1, got {rank} of {n}")
    if rank in (0, n + 1):
        return Share(float(rank == 0), float(rank == 0), float(rank == 0))
    tail = (1 - level) / 2
    low, high = (float(betaincinv(n - rank + 1, rank, p)) for p in (tail, 1 - tail))
    return Share((n - rank + 1) / (n + 1), low, high)
