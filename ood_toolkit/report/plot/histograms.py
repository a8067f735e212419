"""Histograms of one score: ID images that were predicted rightly, those that were not, and OOD images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.report.images_of_rows import Case
from ood_toolkit.report.plot.labels import legend, name_axes, together
from ood_toolkit.report.plot.selection import one_case
from ood_toolkit.report.plot.style import ID, INK, OOD, drawing
from ood_toolkit.report.results import Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["cut_of", "edges_of", "hist"]

TAIL = 0.5
"""Per cent of each group at either end that do not widen the axis; the outermost bins hold them."""


def hist(
    found: Found, *, scorer: str | None = None, ood: str | None = None, id_name: str | None = None,
    model: str | None = None, bins: int = 40, log: bool = False, ax: Axes | None = None, **patch: Any,
) -> Axes:  # fmt: skip
    """Draw histograms of a score; see `Plots.hist`."""
    case = one_case(found, scorer, ood, id_name, model)
    groups = _groups(case)
    edges, beyond = edges_of([scores for scores, _ in groups.values()], bins)
    made: list[Any] = []
    with drawing(ax) as ax:
        for scores, look in groups.values():
            counts, _ = np.histogram(np.clip(scores, edges[0], edges[-1]), edges)
            made.append(ax.stairs(100 * counts / len(scores), edges, **{**look, **patch}))
        cut = cut_of(case)
        if cut is not None:
            made.append(ax.axvline(cut, color=INK, linewidth=0.9, linestyle=(0, (4, 2))))
        ax.set_xlim(edges[0], edges[-1])
        if log:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0)
        more = ", outermost bins: all beyond" if beyond else ""
        name_axes(ax, f"{case.row.scorer} score{more}", "images of each group (%)")
        names = [f"{name} {together(f'(n = {len(scores):,})')}" for name, (scores, _) in groups.items()]
        legend(ax, made, [*names, "threshold"][: len(made)], above=True)
    return ax


def _groups(case: Case) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    """Give the finite scores of each group of images, and how it is drawn."""
    inside, outside = case.scores
    row, filled = case.row, {"fill": True, "facecolor": "#9ECAE9", "edgecolor": ID, "linewidth": 0.8}
    lines = {"fill": True, "facecolor": "none", "edgecolor": OOD, "hatch": "/////", "linewidth": 1.0}
    if case.test.right is None:
        groups = {row.id: (inside, filled)}
    else:
        known, right = case.test.known, case.test.right
        dotted = {"fill": False, "edgecolor": INK, "linewidth": 1.2, "linestyle": (0, (1, 1)), "zorder": 3}
        groups = {f"{row.id}, right": (inside[known & right], filled), row.ood: (outside, lines)}
        groups[f"{row.id}, wrong"] = (inside[known & ~right], dotted)
    groups[row.ood] = (outside, lines)
    finite = {name: (scores[np.isfinite(scores)], look) for name, (scores, look) in groups.items()}
    held = {name: group for name, group in finite.items() if len(group[0])}
    if not held:
        raise DataError(f"{row.scorer} on {row.id} and {row.ood}: expected finite scores, got none")
    return held


def edges_of(groups: list[np.ndarray], bins: int) -> tuple[np.ndarray, bool]:
    """Give the edges (bins + 1,) of bins of equal width for all groups, and whether scores lie beyond them."""
    low = min(float(np.percentile(scores, TAIL)) for scores in groups)
    high = max(float(np.percentile(scores, 100 - TAIL)) for scores in groups)
    if low == high:
        low, high = low - 0.5, high + 0.5
    least, most = min(scores.min() for scores in groups), max(scores.max() for scores in groups)
    return np.linspace(low, high, bins + 1), bool(least < low or most > high)


def cut_of(case: Case) -> float | None:
    """Give the score from which on an image is accepted; None where the run has none, as of combinations."""
    cut = case.test.cuts.get(case.row.scorer)
    return cut if cut is not None and np.isfinite(cut) else None
