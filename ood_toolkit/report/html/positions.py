"""`Positions`: where a threshold can be put on the page, and exactly what is accepted there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ood_toolkit.metrics.points import Point95, points95
from ood_toolkit.report.html.numbers import exact_all
from ood_toolkit.report.images_of_rows import Case

__all__ = ["GROUPS", "Positions", "cut_of", "grouped"]

STEPS = 200
"""Thresholds that are offered of each set's own scores; all of them where there are fewer."""
GROUPS = ("right", "wrong", "unknown", "ood")
"""Whose images are counted: ID by what is known of the prediction, and OOD."""


def grouped(case: Case) -> dict[str, np.ndarray]:
    """Give the scores of each group, by name; groups without images have none."""
    inside, outside = case.scores
    known, right = case.test.known, case.test.right
    if right is None:
        right = np.zeros(len(inside), dtype=bool)
    masks = (known & right, known & ~right, ~known)
    return dict(zip(GROUPS, (*(inside[mask] for mask in masks), outside), strict=True))


def cut_of(case: Case) -> float | None:
    """Give the score from which on the scorer itself accepts; None where it decides nothing, or not by its score.

    Runs of before thresholds were kept, and combinations of models, say only what was accepted: the least score that
    was decides the same.
    """
    spec = case.row.scorer
    if spec not in case.test.accepted or spec not in case.ood.accepted:
        return None
    if spec in case.test.cuts:
        return case.test.cuts[spec]
    accepted = np.concatenate([case.test.accepted[spec], case.ood.accepted[spec]])
    scores = np.concatenate(case.scores)
    if not accepted.any():
        return float("inf")
    least = float(scores[accepted].min())
    return least if not (scores[~accepted] >= least).any() else None


@dataclass(frozen=True, eq=False)
class Positions:
    """Thresholds from loose to strict; an image is accepted if its score is at least that large."""

    thresholds: np.ndarray
    """(p,) float64, rising; the last one is infinity, where nothing but a score of infinity is accepted."""
    accepted: dict[str, np.ndarray]
    """(p,) int64 by group: images accepted."""
    points: list[tuple[Point95, int | None]]
    """The 95 % point of each rule, with its place among the thresholds; None where it lies between two."""
    own: int | None
    """The place of the scorer's own threshold."""

    @classmethod
    def of(cls, case: Case) -> Positions:
        """Choose the thresholds of a case and count."""
        inside, outside = case.scores
        groups, cut, points = grouped(case), cut_of(case), points95(inside, outside)
        falling = np.sort(np.concatenate([inside, outside]))[::-1]
        reached = [_reached(falling, point) for point in points]
        wanted = [*_spread(inside), *_spread(outside), np.inf]
        wanted += [threshold for threshold in (cut, *reached) if threshold is not None]
        thresholds = np.unique(np.array(wanted, dtype=np.float64))
        accepted = {name: _at_least(scores, thresholds) for name, scores in groups.items()}
        places = [None if one is None else int(np.searchsorted(thresholds, one)) for one in reached]
        own = None if cut is None else int(np.searchsorted(thresholds, cut))
        return cls(thresholds, accepted, list(zip(points, places, strict=True)), own)

    def to_page(self, sizes: dict[str, int], protocol: str) -> dict[str, Any]:
        """Give what the page holds of them."""
        rules = [
            {
                "metric": point.metric, "protocols": list(point.protocols), "rule": point.rule,
                "id": point.id_accepted, "ood": point.ood_accepted, "value": point.value, "at": place,
                "ours": protocol in point.protocols,
            }
            for point, place in self.points
        ]  # fmt: skip
        counts = {name: found.tolist() for name, found in self.accepted.items() if sizes[name]}
        return {"t": exact_all(self.thresholds), "accepted": counts, "rules": rules, "own": self.own}


def _spread(scores: np.ndarray) -> np.ndarray:
    """Choose scores of a set so that about the same number of images lies between one and the next."""
    found = np.unique(scores)
    if len(found) <= STEPS:
        return found
    ordered = np.sort(scores)
    return np.unique(ordered[np.linspace(0, len(ordered) - 1, STEPS + 1).round().astype(int)])


def _reached(falling: np.ndarray, point: Point95) -> float | None:
    """Find the threshold at which exactly so many images are accepted; None for a point between two."""
    passing = point.id_accepted + point.ood_accepted
    if not float(point.id_accepted).is_integer() or not float(point.ood_accepted).is_integer():
        return None
    return float(falling[int(passing) - 1]) if passing else np.inf


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Count, for each threshold, the scores that are at least as large."""
    return (len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")).astype(np.int64)
