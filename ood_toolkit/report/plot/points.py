"""Points: one score against another, image by image; and what scorers cost against how well they tell apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.report.asked_metrics import rows_with
from ood_toolkit.report.columns import heading
from ood_toolkit.report.images_of_rows import Case, aligned
from ood_toolkit.report.order import block_of, lower_is_better, mean_of
from ood_toolkit.report.plot.histograms import cut_of
from ood_toolkit.report.plot.labels import label_points, legend, name_axes, together
from ood_toolkit.report.plot.selection import Wanted, cases, named, rows_of, specs_of
from ood_toolkit.report.plot.style import ID, INK, OOD, PALE, drawing
from ood_toolkit.report.results import Found, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["frontier", "pareto", "scatter", "thinned"]

MOST_POINTS = 500
"""Images of each set that are drawn, evenly taken from all; more would only cover each other."""
FEW = 8
"""Up to so many scorers all are named, of more those that no other beats."""


def scatter(
    found: Found, *, scorers: Wanted = None, ood: str | None = None, id_name: str | None = None,
    model: str | None = None, ax: Axes | None = None, **points: Any,
) -> Axes:  # fmt: skip
    """Draw one score against another; see `Plots.scatter`."""
    held, name = cases(found, scorers, ood, id_name, model)
    asked = specs_of(scorers)
    if asked is not None and len(asked) != 2:
        raise DataError(f"scatter: expected two scorers, got {len(asked)}; name two, such as msp,energy")
    first = held[0]
    second = next((case for case in held if case.row.scorer != first.row.scorer and _beside(case, first)), None)
    if second is None:
        raise DataError("scatter: expected two scorers on the same images, the run has one; name more in oodkit bench")
    across, up = first.scores, aligned(second, first)
    made, names = list[Any](), list[str]()
    looks = ({"marker": "^", "facecolors": "none", "edgecolors": OOD}, {"marker": "o", "c": ID, "edgecolors": "none"})
    with drawing(ax, 2.7) as ax:
        for place, look, what in ((1, looks[0], name), (0, looks[1], first.row.id)):
            rows = thinned(len(across[place]))
            drawn = ax.scatter(across[place][rows], up[place][rows],
                               **{"s": 9, "linewidths": 0.5, "alpha": 0.7,
                                  **look, **points})  # fmt: skip
            made.append(drawn)
            part = "" if len(rows) == len(across[place]) else f"{len(rows):,} of "
            names.append(f"{what} {together(f'({part}{len(across[place]):,})')}")
        cuts = {"x": cut_of(first), "y": cut_of(second)}
        for axis, cut in cuts.items():
            if cut is not None:
                line = ax.axvline if axis == "x" else ax.axhline
                dashed = line(cut, color=INK, linewidth=0.7, linestyle=(0, (4, 2)), zorder=3)
        if any(cut is not None for cut in cuts.values()):
            made.append(dashed)
            names.append("threshold")
        name_axes(ax, f"{first.row.scorer} score", f"{second.row.scorer} score")
        order = [1, 0, *range(2, len(made))]  # what was drawn last, above the other, is named first
        legend(ax, [made[i] for i in order], [names[i] for i in order], above=True)
    return ax


def _beside(case: Case, other: Case) -> bool:
    return (case.row.model, case.row.decider) == (other.row.model, other.row.decider)


def thinned(count: int) -> np.ndarray:
    """Give the rows that are drawn of so many: all, or `MOST_POINTS` at even steps."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.int64))


def pareto(
    found: Found, *, scorers: Wanted = None, ood: str | None = None, id_name: str | None = None,
    model: str | None = None, metric: str = "auroc", ax: Axes | None = None, **points: Any,
) -> Axes:  # fmt: skip
    """Draw cost against a metric; see `Plots.pareto`."""
    rows = rows_of(found, "ood", scorers, id_name, model)
    metric, measured = rows_with(found, metric)
    held = [row for row in measured if row.kind in ("ood", "mean") and row.status == "ok"]
    blocks = list(dict.fromkeys(block_of(row) for row in rows))
    where = "mean" if len({row.ood for row in rows}) > 1 and ood is None else ood or rows[0].ood
    values = {block: _value(block, held, metric, ood) for block in blocks}
    firsts = {block_of(row): row for row in reversed(rows)}
    known = [block for block in blocks if values[block] is not None and firsts[block].seconds > 0]
    if not known:
        raise DataError(f"pareto: expected {metric} and seconds of each scorer, this run has none; run oodkit bench")
    x = np.array([firsts[block].seconds for block in known])
    y = np.array([100 * (values[block] or 0.0) for block in known])
    falls = lower_is_better(metric)
    ahead = frontier(x, -y if falls else y)
    least = float(y.min()) if falls or len(known) <= FEW else _least(y, y[ahead])
    low = y < least
    with drawing(ax, spare=0) as ax:
        steps = ahead[np.argsort(x[ahead], kind="stable")]
        ax.step(x[steps], y[steps], where="post", color=PALE, linewidth=0.8, zorder=1)
        look = {"s": 10, "facecolors": "white", "edgecolors": INK, "linewidths": 0.6, "zorder": 2, **points}
        ax.scatter(x[~low], y[~low], **look)
        ax.scatter(x[ahead], y[ahead], s=14, color=OOD, marker="D", zorder=3)
        _logarithmic(ax, float(x.min()), float(x.max()))
        ax.margins(y=0.1)
        bottom, _ = ax.get_ylim()
        ax.scatter(x[low], np.full(low.sum(), bottom), **{**look, "marker": "v", "clip_on": False})
        ax.set_ylim(bottom=bottom)
        name_axes(ax, "seconds for fitting and scoring", f"{heading(metric)}, {where} (%)",
                  f"▽ {low.sum()} scorers lie lower" if low.any() else "")  # fmt: skip
        shown = ahead if len(known) > FEW else np.arange(len(known))
        labels = named([firsts[block] for block in known])
        taken = [*zip(x.tolist(), np.maximum(y, bottom).tolist(), strict=True), *_along(x[steps], y[steps])]
        label_points(ax, [(x[i], y[i]) for i in shown], [labels[i] for i in shown], taken)
    return ax


def _logarithmic(ax: Axes, least: float, most: float) -> None:
    """Let the horizontal axis hold a decade at least, with plain numbers that leave each other room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    wide = max(math.log10(most / least) * 0.12, (1 - math.log10(most / least)) / 2, 0.12)
    ax.set_xscale("log")
    ax.set_xlim(least / 10**wide, most * 10**wide)
    decades = math.log10(most / least) + 2 * wide
    ax.xaxis.set_major_locator(LogLocator(10, (1, 2, 5) if decades < 2 else (1,), numticks=6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _least(values: np.ndarray, ahead: np.ndarray) -> float:
    """Give the least value that is shown in its place: those far below the best would leave these no room."""
    span = max(float(ahead.max() - ahead.min()), 0.5)
    return max(float(values.min()), float(ahead.min()) - 2 * span)


def _along(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """Give points along the steps between points, for labels to keep off."""
    level = [(float(one), float(y[i])) for i in range(len(x) - 1) for one in np.geomspace(x[i], x[i + 1], 60)]
    rising = [(float(x[i + 1]), float(one)) for i in range(len(x) - 1) for one in np.linspace(y[i], y[i + 1], 30)]
    return level + rising


def _value(block: tuple[str, ...], rows: list[Row], metric: str, ood: str | None) -> float | None:
    """Give a metric of one scorer: on an OOD set, or its mean."""
    mine = [row for row in rows if block_of(row) == block and (ood is None or row.ood == ood)]
    return mean_of(mine, metric)


def frontier(cost: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Give the places of those that no other beats: none is better at the same or a lower cost, or as good for less."""
    order = np.lexsort((-value, cost))
    ahead, best = [], -np.inf
    for place in order:
        if value[place] > best:
            ahead.append(int(place))
            best = value[place]
    return np.array(ahead, dtype=np.int64)
