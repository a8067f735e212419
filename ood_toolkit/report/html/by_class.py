"""What became of each predicted class: its threshold, where its scores lie, how much of it was accepted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ood_toolkit.report.html.numbers import brief, exact
from ood_toolkit.report.images_of_rows import Case
from ood_toolkit.report.results import Answers

__all__ = ["class_names", "id_by_class", "ood_by_class", "taken_off"]

ID_SHARES, OOD_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95), (0.05, 0.5, 0.95)
"""Which quantiles are drawn."""


def class_names(case: Case) -> list[str]:
    """Name the classes: those of the model where the run says them, else those that occur."""
    test = case.test
    said = [part for part in (test.prediction, case.ood.prediction) if part is not None]
    found = sorted({str(name) for part in said for name in part})
    known = [] if test.classes is None else [str(name) for name in test.classes]
    return known if set(found) <= set(known) and len(set(known)) == len(known) else found


def id_by_class(case: Case, names: list[str], cut: float | None) -> dict[str, Any] | None:
    """Say of each class what became of the ID images predicted as it; None where nothing was decided or predicted.

    `theta` is the threshold of each class, or one for all. Scores are those that it is compared with: of a margin the
    base score, so that thresholds differ and scores have their own unit.
    """
    spec, test = case.row.scorer, case.test
    if test.prediction is None or spec not in test.accepted:
        return None
    classes, taken = _classes(test, names), _taken(case, names)
    made = _of(classes, case.scores[0], taken, test.accepted[spec], len(names), ID_SHARES)
    if test.right is not None:
        made["right"] = np.bincount(classes[test.right], minlength=len(names)).tolist()
    theta = cut if taken is None else [exact(value) for value in taken]
    return {**made, "theta": None if theta is None else theta if isinstance(theta, list) else exact(theta)}


def ood_by_class(case: Case, names: list[str]) -> dict[str, Any] | None:
    """Say of each class what became of the OOD images predicted as it."""
    spec, ood = case.row.scorer, case.ood
    if ood.prediction is None or spec not in ood.accepted:
        return None
    classes = _classes(ood, names)
    return _of(classes, case.scores[1], _taken(case, names), ood.accepted[spec], len(names), OOD_SHARES)


def taken_off(case: Case, said: Answers, row: int) -> float | None:
    """Give the threshold that was taken off an image's score for its class; None where none was."""
    spec, classes = case.row.scorer, case.test.classes
    if spec not in case.test.class_cuts or classes is None or said.prediction is None:
        return None
    places = np.flatnonzero(classes == said.prediction[row])
    return float(case.test.class_cuts[spec][places[0]]) if len(places) else None


def _taken(case: Case, names: list[str]) -> np.ndarray | None:
    found, classes = case.test.class_cuts.get(case.row.scorer), case.test.classes
    return found if found is not None and classes is not None and classes.tolist() == names else None


def _classes(said: Answers, names: list[str]) -> np.ndarray:
    """Give the number of each predicted class (n,)."""
    order = np.argsort(np.array(names, dtype=str))
    prediction = np.asarray(said.prediction, dtype=str)
    return order[np.searchsorted(np.array(names, dtype=str), prediction, sorter=order).clip(max=len(names) - 1)]


def _of(
    classes: np.ndarray, scores: np.ndarray, taken: np.ndarray | None, accepted: np.ndarray, k: int, shares: Any
) -> dict[str, Any]:
    base = scores if taken is None else scores + taken[classes]
    order = np.lexsort((base, classes))
    counts = np.bincount(classes, minlength=k)
    starts = np.cumsum(counts) - counts
    filled = np.flatnonzero(counts)
    quantiles = []
    for share in shares:
        column: list[float | None] = [None] * k
        rows = starts[filled] + np.maximum(np.ceil(share * counts[filled]).astype(int) - 1, 0)
        for place, value in zip(filled, base[order[rows]], strict=True):
            column[place] = brief(float(value))
        quantiles.append(column)
    return {
        "n": counts.tolist(),
        "accepted": np.bincount(classes[accepted], minlength=k).tolist(),
        "quantiles": quantiles,
    }
