"""Which images of a scorer on an ID and an OOD set are worth a look: its gravest errors of three kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ood_toolkit.report.images_of_rows import Case

__all__ = ["KINDS", "Pick", "picks"]

KINDS = ("mistakes", "rejected", "missed")
"""Wrong predictions that the scorer is surest of, ID images that it rejects, OOD images that it accepts."""


@dataclass(frozen=True, eq=False)
class Pick:
    """Images of one kind of error, the gravest first."""

    kind: str
    rows: np.ndarray
    """(p,) int64: rows of the ID test, or of the OOD set where the kind is `missed`."""
    total: int
    """How many images there are of this kind."""
    decided: bool
    """Whether a threshold told which they are; without one, `rejected` are the ID images that score lowest and
    `missed` the OOD images that score highest, of all."""


def picks(case: Case, count: int) -> list[Pick]:
    """Choose at most `count` images of each kind; of equal scores the earlier row comes first.

    `rejected` are images whose prediction is right, where that is known: rejecting a wrong one is no error. Kinds that
    cannot be told, such as mistakes where no class is known, are left out.
    """
    inside, outside = case.scores
    spec, test, ood = case.row.scorer, case.test, case.ood
    decided = spec in test.accepted and spec in ood.accepted
    found = []
    if test.right is not None:
        found.append(_pick("mistakes", -inside, np.flatnonzero(test.known & ~test.right), count, True))
    usual = np.ones(len(inside), dtype=bool) if test.right is None else test.right | ~test.known
    if decided:
        found.append(_pick("rejected", inside, np.flatnonzero(usual & ~test.accepted[spec]), count, True))
        found.append(_pick("missed", -outside, np.flatnonzero(ood.accepted[spec]), count, True))
    else:
        found.append(_pick("rejected", inside, np.flatnonzero(usual), count, False))
        found.append(_pick("missed", -outside, np.arange(len(outside)), count, False))
    return found


def _pick(kind: str, order: np.ndarray, rows: np.ndarray, count: int, decided: bool) -> Pick:
    first = np.argsort(order[rows], kind="stable")[:count]
    return Pick(kind, rows[first].astype(np.int64), len(rows), decided)
