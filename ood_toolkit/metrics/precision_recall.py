"""The two areas under a precision-recall curve that papers call AUPR; with ties they differ by points."""

from __future__ import annotations

import numpy as np

from ood_toolkit.metrics.ranking import Counts


def trapezoid_area(counts: Counts, start: float = 1.0) -> float:
    """Return the area under straight lines between the points (recall, precision).

    `start` is the precision written down for recall 0: 1 in scikit-learn and all that build on it, 0 in code
    descended from ODIN's, knn-ood among it.
    """
    precision = counts.tp / (counts.tp + counts.fp)
    before = np.concatenate([[start], precision[:-1]])
    # A sum, not `np.dot`: BLAS threads cost ten times the work here and could change the last digit.
    return float(np.sum(np.diff(counts.tp, prepend=0) * (precision + before))) / (2 * counts.positives)


def step_area(counts: Counts) -> float:
    """Return the average precision: each gain in recall weighted by the precision where it is reached."""
    precision = counts.tp / (counts.tp + counts.fp)
    return float(np.sum(np.diff(counts.tp, prepend=0) * precision)) / counts.positives
