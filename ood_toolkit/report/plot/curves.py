"""ROC curves, and risk against coverage: a line for each scorer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.errors import DataError
from ood_toolkit.report.images_of_rows import right_and_wrong
from ood_toolkit.report.plot.labels import hides_lines, legend, name_axes
from ood_toolkit.report.plot.selection import Wanted, best, cases, named, rows_of
from ood_toolkit.report.plot.style import PALE, SERIES, drawing
from ood_toolkit.report.results import Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["risk_coverage", "roc"]

SAFE = 0.5
"""From which coverage the axis begins later where no scorer shown has any risk before."""


def roc(
    found: Found, *, scorers: Wanted = None, ood: str | None = None, id_name: str | None = None,
    model: str | None = None, log: bool = False, ax: Axes | None = None, **line: Any,
) -> Axes:  # fmt: skip
    """Draw ROC curves; see `Plots.roc`."""
    held, name = cases(found, scorers, ood, id_name, model)
    shown = best(held, lambda case: metrics.auroc(*case.scores), scorers is not None)
    lines, labels, versus = [], [], f"{shown[0].row.id} against {name}"
    with drawing(ax) as ax:
        ax.axhline(0.95, color=PALE, linewidth=0.6, zorder=0)
        for case, spec, look in zip(shown, named([case.row for case in shown]), SERIES, strict=False):
            curve = metrics.roc_curve(*case.scores)
            (made,) = ax.plot(curve.ood_accepted, curve.id_accepted,
                              **{"color": look.color, "linestyle": look.dash, "marker": look.marker,
                                 "markevery": [_at_95(curve)], **line})  # fmt: skip
            lines.append(made)
            labels.append(f"{spec} {100 * metrics.auroc(*case.scores):.1f}")
        least = 1 / max(len(case.ood) for case in shown)
        ax.set(ylim=(0, 1.02), **({"xscale": "log", "xlim": (least, 1)} if log else {"xlim": (-0.01, 1)}))
        name_axes(ax, "OOD accepted (FPR)", "ID accepted (TPR)", "" if log else versus)
        where: dict[str, Any] = {"x": 1.15 * least, "ha": "left"} if log else {"x": 1, "ha": "right"}
        ax.text(y=0.94, s="95 %", color="#555555", fontsize=6.5, va="top", **where)
        if not log:
            legend(ax, lines, labels, f"AUROC (%){shown.part}")
        if log or hides_lines(ax):
            ax.set_title("", loc="left")
            legend(ax, lines, labels, f"{versus}, AUROC (%){shown.part}", above=True)
    return ax


def _at_95(curve: metrics.Roc) -> int:
    """Give the first corner at which at least 95 % of ID are accepted; shares are compared as counts would be."""
    return int(np.searchsorted(curve.id_accepted, 0.95 - 1e-12))


def risk_coverage(
    found: Found, *, scorers: Wanted = None, id_name: str | None = None, model: str | None = None,
    ax: Axes | None = None, **line: Any,
) -> Axes:  # fmt: skip
    """Draw risk against coverage; see `Plots.risk_coverage`."""
    rows = [row for row in rows_of(found, "misclassification", scorers, id_name, model) if "aurc" in row.metrics]
    if not rows:
        raise DataError("expected right and wrong predictions on the ID test, all are the same; there is no risk")
    shown = best(rows, lambda row: -row.metrics["aurc"], scorers is not None)
    lines, labels = [], []
    with drawing(ax) as ax:
        least = right_and_wrong(found, shown[0])
        perfect = metrics.risk_coverage(np.arange(len(least[0])) + len(least[1]), np.arange(len(least[1])))
        (line_of_perfect,) = ax.plot(perfect.coverage, 100 * perfect.risk, color=PALE, linewidth=0.8, zorder=0)
        top, begin = 0.0, 1.0
        for row, spec, look in zip(shown, named(shown), SERIES, strict=False):
            curve = metrics.risk_coverage(*right_and_wrong(found, row))
            (made,) = ax.plot(curve.coverage, 100 * curve.risk,
                              **{"color": look.color, "linestyle": look.dash, "marker": look.marker,
                                 "markevery": (0.08, 0.3), "markersize": 3, **line})  # fmt: skip
            lines.append(made)
            labels.append(f"{spec} {100 * row.metrics['aurc']:.2f}")
            top = max(top, float(np.max(100 * curve.risk[curve.coverage >= 0.1])))
            begin = min(begin, float(curve.coverage[np.argmax(curve.risk > 0)]))
        ax.set(xlim=(round(begin - 0.1, 1) if begin > SAFE else 0, 1), ylim=(0, 1.05 * top))
        name_axes(ax, "coverage: share of ID kept", "risk: wrong predictions (%)")
        title = f"{shown[0].id}, AURC (%){shown.part}"
        legend(ax, [*lines, line_of_perfect], [*labels, "perfect ranking"], title, above=True)
    return ax
