"""Scores of a few images, the same ones for every scorer, so that two scorers can be set against each other."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from ood_toolkit.report.html.numbers import brief
from ood_toolkit.report.html.positions import GROUPS
from ood_toolkit.report.images_of_rows import Case
from ood_toolkit.report.results import Answers

__all__ = ["id_sample", "ood_sample"]

MOST = 400
"""Images of each set that are drawn as points, evenly spaced over its rows."""


def id_sample(case: Case) -> dict[str, Any] | None:
    """Give ID scores, the group of each as a digit, and what tells which images they are; None for streams."""
    test = case.test
    if case.row.scorer in test.streamed.get(case.row.ood, {}):
        return None
    rows = _rows(len(test))
    right = np.zeros(len(test), dtype=bool) if test.right is None else test.right
    groups = np.where(~test.known, GROUPS.index("unknown"), np.where(right, 0, 1))[rows]
    return {**_sample(test, case.scores[0], rows), "groups": "".join(map(str, groups))}


def ood_sample(case: Case) -> dict[str, Any]:
    """Give OOD scores, and what tells which images they are."""
    return _sample(case.ood, case.scores[1], _rows(len(case.ood)))


def _rows(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MOST)).round().astype(int))


def _sample(said: Answers, scores: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    images = hashlib.sha256("\0".join(said.ids[rows].tolist()).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return {"scores": [brief(float(score)) for score in scores[rows]], "images": f"{len(said)} {images}"}
