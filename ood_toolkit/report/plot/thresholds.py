"""Class by class: where the scores of ID and OOD images lie, and the threshold that decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.report.images_of_rows import Case
from ood_toolkit.report.plot.histograms import cut_of
from ood_toolkit.report.plot.labels import legend, lines_of, name_axes, ticks, together
from ood_toolkit.report.plot.selection import one_case
from ood_toolkit.report.plot.style import ID, INK, OOD, drawing
from ood_toolkit.report.results import Found

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Classes", "classes_of", "thresholds"]

MOST_CLASSES = 20
"""Classes that are drawn; of more those with the lowest share of ID accepted."""
SPAN = (5, 50, 95)
"""Percentiles that are drawn of each class: the ends of its line, and its dot."""


@dataclass(frozen=True, eq=False)
class Classes:
    """What is known of each class that was predicted for an ID test image."""

    names: list[str]
    inside: list[np.ndarray]
    """Scores of the ID test images that were predicted as each class."""
    outside: list[np.ndarray]
    """Scores of the OOD images that were."""
    threshold: np.ndarray | None
    """(k,) threshold of each class, on the scale of the scores; None where there is none, nan for an infinite one."""
    accepted: np.ndarray | None
    """(k,) share of the ID test images of each class that was accepted."""
    scale: str
    """What the scores are."""
    of: int
    """Classes in all."""


def thresholds(
    found: Found, *, scorer: str | None = None, ood: str | None = None, id_name: str | None = None,
    model: str | None = None, ax: Axes | None = None, **line: Any,
) -> Axes:  # fmt: skip
    """Draw thresholds against class scores; see `Plots.thresholds`."""
    case = one_case(found, scorer, ood, id_name, model)
    held = classes_of(case)
    places = np.arange(len(held.names))
    high = max(len(lines_of(name)) for name in held.names)
    with drawing(ax, 0.95 + (0.05 + 0.12 * high) * len(held.names)) as ax:
        made = [
            _spans(ax, held.inside, places - 0.17, {"color": ID, "marker": "o", "linestyle": "solid", **line}),
            _spans(ax, held.outside, places + 0.17, {"color": OOD, "marker": "^", "linestyle": (0, (1.5, 1)), **line}),
        ]
        span = together("5 to 95 %")
        names = [f"{case.row.id}, {span}", f"{case.row.ood}, {span}"]
        if held.threshold is not None:
            made.append(ax.vlines(held.threshold, places - 0.42, places + 0.42, color=INK, linewidth=1.4))
            names.append("threshold")
        ticks(ax, held.names)
        ax.set_ylim(len(held.names) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        part = "" if held.of == len(held.names) else f": {len(held.names)} of {held.of:,}"
        part += ", the least accepted" if part and held.accepted is not None else ""
        name_axes(ax, held.scale, f"predicted class{part}")
        if held.accepted is not None:
            _beside(ax, held.accepted)
        legend(ax, made, names, above=True)
    return ax


def _spans(ax: Axes, groups: list[np.ndarray], places: np.ndarray, look: dict[str, Any]) -> Any:
    """Draw each group as a line with a dot; give what stands for them in a legend."""
    from matplotlib.lines import Line2D

    for scores, place in zip(groups, places, strict=True):
        if len(scores):
            low, middle, high = np.percentile(scores, SPAN)
            ax.plot([low, high], [place, place], **{"linewidth": 1.1, **look, "marker": ""})
            ax.plot([middle], [place], **{"markersize": 3, **look, "linestyle": ""})
    return Line2D([], [], **{"linewidth": 1.1, "markersize": 3, **look})


def _beside(ax: Axes, accepted: np.ndarray) -> None:
    """Write the share of ID that is accepted at the right of each class."""
    side = ax.secondary_yaxis("right")
    side.set_yticks(range(len(accepted)), [f"{100 * share:.0f}" for share in accepted])
    side.tick_params(length=0)
    side.spines["right"].set_visible(False)
    side.set_ylabel("ID accepted (%)")


def classes_of(case: Case) -> Classes:
    """Gather scores by predicted class, with the threshold of each.

    A margin above the threshold of a class is led back to base score and threshold.
    """
    test, ood, row = case.test, case.ood, case.row
    if test.prediction is None or ood.prediction is None:
        raise DataError(f"{row.scorer} on {row.id}: expected predicted classes, its scores were ready; plot hist")
    inside, outside = case.scores
    names = sorted(set(test.prediction.tolist()))
    flags = test.accepted.get(row.scorer)
    accepted = None if flags is None else np.array([flags[test.prediction == name].mean() for name in names])
    of, order = len(names), list(range(len(names)))
    if of > MOST_CLASSES and accepted is not None:
        order = np.argsort(accepted, kind="stable").tolist()
    names = [names[place] for place in order[:MOST_CLASSES]]
    accepted = None if accepted is None else accepted[order[:MOST_CLASSES]]
    own, cut, cuts, scale = _by_class(case), cut_of(case), None, f"{row.scorer} score"
    if own is not None:
        cuts, scale = np.array([own.get(name, np.nan) for name in names]), f"base score of {row.scorer}"
        inside, outside = (_based(*part, own) for part in ((inside, test.prediction), (outside, ood.prediction)))
    elif cut is not None:
        cuts = np.full(len(names), cut)
    return Classes(
        names, [_finite(inside[test.prediction == name]) for name in names],
        [_finite(outside[ood.prediction == name]) for name in names], cuts, accepted, scale, of,
    )  # fmt: skip


def _finite(scores: np.ndarray) -> np.ndarray:
    return scores[np.isfinite(scores)]


def _by_class(case: Case) -> dict[str, float] | None:
    """Give what was taken off the base score by predicted class, nan for what is infinite; None for other scorers."""
    cuts, names = case.test.class_cuts.get(case.row.scorer), case.test.classes
    if cuts is None or names is None:
        return None
    return dict(zip(names.tolist(), np.where(np.isfinite(cuts), cuts, np.nan).tolist(), strict=True))


def _based(margins: np.ndarray, predicted: np.ndarray, cuts: dict[str, float]) -> np.ndarray:
    """Give the base scores (n,) that margins were made of."""
    return margins + np.array([cuts.get(name, np.nan) for name in predicted.tolist()])
