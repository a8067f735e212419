"""Conformal p-values of scores, and which images of a batch to flag as OOD by them at a rate that is promised."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ood_toolkit.errors import MetricError

__all__ = ["Flags", "benjamini_hochberg", "conformal_p_values", "discovery_cut"]

LAMBDA = 0.5
"""From which p-value on Storey's correction counts images as ID."""
BLOCK = 1 << 16
"""P-values that are looked at together."""


@dataclass(frozen=True, eq=False)
class Flags:
    """Which of m images are flagged."""

    flagged: np.ndarray
    """(m,) bool."""
    cut: float
    """The largest p-value that is flagged; 0 where none is."""
    note: str = ""
    """Why nothing could be flagged."""


def conformal_p_values(calibration: Any, scores: Any, seed: int | None = None) -> np.ndarray:
    """Give (1 + #{s_i <= s}) / (n + 1) of sorted calibration scores (n,) and scores (m,), as (m,) float64.

    P(p <= a) <= a for an ID image that is exchangeable with them (Vovk et al. 2005), on average over calibration sets.
    With a seed the smoothed form (#{s_i < s} + U (1 + #{s_i = s})) / (n + 1), U uniform, which is exactly uniform.
    """
    known, asked = np.asarray(calibration, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    up_to = np.searchsorted(known, asked, side="right")
    if seed is None:
        made: np.ndarray = (1 + up_to) / (len(known) + 1)
        return made
    below = np.searchsorted(known, asked, side="left")
    drawn = np.random.default_rng(seed).uniform(size=asked.shape)
    smoothed: np.ndarray = (below + drawn * (1 + up_to - below)) / (len(known) + 1)
    return smoothed


def benjamini_hochberg(p_values: Any, rate: float, n: int | None = None, storey: bool = False) -> Flags:
    """Flag OOD images at a false discovery rate: the expected share of ID images among the flagged.

    p_values (m,): marginal conformal p-values of one batch; NaN is never flagged and not counted. Those with
    p <= rate k / m are flagged, k the largest number of p-values for which that holds of the k-th smallest. Conformal
    p-values are positively dependent, so that it holds (Benjamini and Yekutieli 2001; Bates et al. 2023, arXiv
    2104.08279), on average over calibration sets too. `storey` divides the rate by the estimated share of ID images,
    (1 + #{p > 1/2}) / (m / 2), which is not cut at 1. `n` is the number of calibration images: the smallest p-value
    is 1 / (n + 1), and where too few images can have it a note says so. Raises `MetricError` for numbers that are no
    p-values, and a rate that is not between 0 and 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise MetricError(f"benjamini_hochberg: expected a row of p-values, one an image, got shape {p.shape}")
    strange = np.flatnonzero((p < 0) | (p > 1))  # NaN is an image without one
    if len(strange):
        got = f"{p[strange[0]]:g} at index {strange[0]}"
        raise MetricError(
            f"benjamini_hochberg: expected p-values from 0 to 1, got {got}; they come from `Detector.p_values`"
        )
    if not 0 < rate < 1:
        raise MetricError(f"benjamini_hochberg: expected a rate between 0 and 1, got {rate}")
    found, note = discovery_cut(np.sort(p), rate, n, storey)
    return Flags(np.zeros(p.shape, bool) if found is None else p <= found, found or 0.0, note)


def discovery_cut(
    p_values: np.ndarray, rate: float, n: int | None = None, storey: bool = False
) -> tuple[float | None, str]:
    """Give the largest p-value that `benjamini_hochberg` flags, None where it flags none, and why it does not.

    p_values (m,): float64, rising, NaN last. Takes no memory that grows with their number.
    """
    m = int(np.searchsorted(p_values, np.inf, side="right"))
    known = p_values[:m]
    if not m:
        return None, "no image has a p-value"
    above = m - int(np.searchsorted(known, LAMBDA, side="right"))
    used = rate / ((1 + above) / (m * (1 - LAMBDA))) if storey else rate
    for end in range(m, 0, -BLOCK):
        ranks = np.arange(max(0, end - BLOCK), end)
        if len(below := ranks[known[ranks] <= used * (ranks + 1) / m * (1 + 1e-12)]):
            return float(known[below[-1]]), ""
    if n is None:
        return None, ""
    need = math.ceil(m / (used * (n + 1)) - 1e-9)
    return None, (
        f"nothing is flagged: the smallest p-value that {n:,} calibration images allow is {1 / (n + 1):.2g}, and at "
        f"least {need:,} of the {m:,} images would have to have it"
    )
