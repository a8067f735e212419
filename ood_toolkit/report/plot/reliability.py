"""Reliability: the share of right predictions at each confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.errors import DataError
from ood_toolkit.report.images_of_rows import id_test_of
from ood_toolkit.report.plot.labels import legend, name_axes, together
from ood_toolkit.report.plot.selection import rows_of
from ood_toolkit.report.plot.style import ID, PALE, drawing
from ood_toolkit.report.results import Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["reliability"]


def reliability(
    found: Found, *, id_name: str | None = None, model: str | None = None, bins: int = 15, ax: Axes | None = None,
    **points: Any,
) -> Axes:  # fmt: skip
    """Draw accuracy against confidence; see `Plots.reliability`."""
    row = rows_of(found, "misclassification", None, id_name, model)[0]
    test = id_test_of(found, row)
    if test.confidence is None or test.right is None:
        raise DataError(f"reliability: expected the confidence of every image of {row.id}; the run has none")
    confidence, right = test.confidence[test.known], test.right[test.known]
    held = metrics.reliability(confidence, right, bins)
    ends = np.array([_interval(hits, count) for hits, count in zip(held.right, held.count, strict=True)])  # (b, 2)
    reach = np.abs(ends.T - held.accuracy)
    with drawing(ax, 2.7) as ax:
        ax.plot([0, 1], [0, 1], color=PALE, linewidth=0.7, zorder=0)
        share = ax.vlines(held.confidence, 0, held.count / held.count.sum(), color="#CCCCCC", linewidth=5, zorder=1)
        drawn = ax.errorbar(held.confidence, held.accuracy, reach,
                            **{"color": ID, "marker": "o", "linestyle": "", "markersize": 3.5, "elinewidth": 0.9,
                               "capsize": 1.5, "capthick": 0.9, **points})  # fmt: skip
        ax.set(xlim=(0, 1.02), ylim=(0, 1.02))
        ece = metrics.ece(confidence, right, bins)
        name_axes(ax, "confidence", "accuracy")
        title = f"{row.id}: {together(f'ECE {100 * ece:.2f} %,')} {together(f'n = {len(right):,}')}"
        legend(ax, [drawn, share], ["accuracy with 95 % interval", "share of images"], title, above=True)
    return ax


def _interval(hits: int, count: int) -> tuple[float, float]:
    found = metrics.clopper_pearson(int(hits), int(count))
    return found.low, found.high
