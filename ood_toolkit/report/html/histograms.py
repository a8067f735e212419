"""Histograms of scores, one a group over the same bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["BINS", "histograms"]

BINS = 60
TAIL = 0.002
"""The share of a group, at either end, that may lie beyond the bins if these would be mostly empty otherwise."""
WIDE = 1.3
"""How many times as wide as without the tails a range may be and still be drawn whole."""


def histograms(groups: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Count the scores (n,) of each group in equal bins between `low` and `high`; what lies beyond is in the end bins.

    `beyond` says how many images those are.
    """
    held = {name: scores for name, scores in groups.items() if len(scores)}
    low, high = _range(held)
    edges = np.linspace(low, high, BINS + 1)
    counts = {name: np.histogram(np.clip(scores, low, high), edges)[0].tolist() for name, scores in held.items()}
    beyond = sum(int(((scores < low) | (scores > high)).sum()) for scores in held.values())
    return {"low": low, "high": high, "bins": BINS, "counts": counts, "beyond": beyond}


def _range(groups: Mapping[str, np.ndarray]) -> tuple[float, float]:
    finite = [scores[np.isfinite(scores)] for scores in groups.values()]
    finite = [scores for scores in finite if len(scores)]
    if not finite:
        return 0.0, 1.0
    whole = min(float(s.min()) for s in finite), max(float(s.max()) for s in finite)
    ends = [np.quantile(scores, [TAIL, 1 - TAIL]) for scores in finite]
    most = min(float(low) for low, _ in ends), max(float(high) for _, high in ends)
    low, high = whole if whole[1] - whole[0] <= WIDE * (most[1] - most[0]) else most
    if not high > low:
        wide = max(abs(low), 1.0) * 1e-3
        return low - wide, high + wide
    return low, high
