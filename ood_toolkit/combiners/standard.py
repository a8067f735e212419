"""Mean and standard deviation of each member's values, by which members are made comparable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def spread(values: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """Give the mean and the standard deviation of each array; a constant one has spread 1."""
    return [float(v.mean()) for v in values], [float(v.std()) if v.min() < v.max() else 1.0 for v in values]
