"""Rows led back to what they were computed from: one scorer's scores of an ID and an OOD set, image by image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ood_toolkit.errors import DataError
from ood_toolkit.report.evaluation import full_spectrum
from ood_toolkit.report.results import TEST, Answers, Found, Row, union
from ood_toolkit.report.run_header import csid_names, id_names, parts_of
from ood_toolkit.store.foreign.guard import quoted, shown

__all__ = ["Case", "aligned", "case_of", "cases_of", "id_sets_of", "id_test_of", "right_and_wrong"]


@dataclass(frozen=True, eq=False)
class Case:
    """One scorer on one ID and one OOD set: a row with the answers that it was computed from."""

    row: Row
    test: Answers
    ood: Answers
    run: str = ""

    @property
    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """The ID scores (n,) and OOD scores (m,) that the row compares."""
        spec, ood = self.row.scorer, self.row.ood
        return self.test.beside(ood, spec), self.ood.beside(ood, spec)

    @property
    def name(self) -> dict[str, str]:
        """Say whose scores these are."""
        own = {"run": self.run, "model": self.row.model, "scorer": self.row.scorer, "decider": self.row.decider}
        return {key: value for key, value in own.items() if value or key == "scorer"}


def cases_of(found: Found) -> list[Case]:
    """Give the cases of all rows that have one."""
    return [case for row in found.rows if (case := case_of(found, row)) is not None]


def case_of(found: Found, row: Row) -> Case | None:
    """Find the answers that a row of an OOD set was computed from; None for other rows."""
    if row.kind != "ood" or row.status != "ok":
        return None
    with _whole(row):
        test, sets = _answers_of(found, row)
        case = Case(row, test, sets[f"ood:{row.ood}"])
        _ = case.scores
    return case


def id_test_of(found: Found, row: Row) -> Answers:
    """Find what was said of the ID test images that a row is about; `DataError` where it was not saved."""
    with _whole(row):
        test, _ = _answers_of(found, row)
    return test


def right_and_wrong(found: Found, row: Row) -> tuple[np.ndarray, np.ndarray]:
    """Give the scores of rightly and of wrongly predicted ID images whose class is known; `DataError` without them."""
    test = id_test_of(found, row)
    if test.right is None or row.scorer not in test.scores:
        raise DataError(f"{row.scorer} on {row.id}: expected scores of every image; the run is not whole")
    scores, right = test.scores[row.scorer][test.known], test.right[test.known]
    return scores[right], scores[~right]


@contextmanager
def _whole(row: Row) -> Iterator[None]:
    """Say what is missing in one line."""
    try:
        yield
    except KeyError as error:
        where = shown(f"{row.scorer} on {row.id} and {row.ood}" if row.ood else f"{row.scorer} on {row.id}")
        lost = quoted(error.args[0])
        raise DataError(f"{where}: expected scores of every image, got none of {lost}; the run is not whole") from None


def _answers_of(found: Found, row: Row) -> tuple[Answers, dict[str, Answers]]:
    """Give what was said of the ID test of a row, and of all sets beside it; `KeyError` names what is not there."""
    begin, header = next(
        ((begin, part) for begin, part in parts_of(found.header) if not begin or begin[0] == row.model),
        ((), found.header),
    )
    names = id_names(header)
    whole = bool(names) and not row.decider and row.id == header.get("csid", {}).get("name")
    owner = row.id if not row.decider else row.decider if row.decider in names else f"{row.decider}+{row.scorer}"
    owner = names[0] if whole else owner
    sets = {key[-1]: said for key, said in found.answers.items() if key[:-1] == (*begin, owner)}
    test = full_spectrum(sets, csid_names(header)) if whole else sets[TEST]
    if row.decider in names and row.id != row.decider:
        test = union(sets, row.decider, names)
    return test, sets


def id_sets_of(found: Found, row: Row) -> list[str]:
    """Name the data sets that the ID test of a row is of."""
    header = next((part for begin, part in parts_of(found.header) if not begin or begin[0] == row.model), found.header)
    names = id_names(header)
    if row.id in names:
        return [row.id]
    return [*names[:1], *csid_names(header)] if row.id == header.get("csid", {}).get("name") else names


def aligned(case: Case, like: Case) -> tuple[np.ndarray, np.ndarray]:
    """Give a case's scores in the order in which another has the images."""
    rows = [_rows(said, other, case, like) for said, other in ((case.test, like.test), (case.ood, like.ood))]
    return case.scores[0][rows[0]], case.scores[1][rows[1]]


def _rows(said: Answers, other: Answers, case: Case, like: Case) -> Any:
    if len(said) == len(other) and bool((said.ids == other.ids).all()):
        return slice(None)
    mine, theirs = said.ids.tolist(), other.ids.tolist()
    places = {identity: place for place, identity in enumerate(mine)}
    if len(places) == len(mine) == len(theirs) and places.keys() == set(theirs):
        return [places[identity] for identity in theirs]
    one, two = (" ".join(part for part in (c.run, c.row.model, c.row.scorer) if part) for c in (case, like))
    raise DataError(
        f"{case.row.id} and {case.row.ood}: expected the same images, got {len(mine)} in {one} and {len(theirs)} in "
        f"{two}, {_apart(places.keys(), set(theirs))}; compare runs of one seed, split and limit"
    )


def _apart(mine: Any, theirs: set[str]) -> str:
    """Say how two sets of ids differ."""
    parts = []
    for which, only in (("first", sorted(mine - theirs)), ("second", sorted(theirs - mine))):
        if only:
            parts.append(f"{len(only)} of them only in the {which} (such as {only[0]})")
    return " and ".join(parts) or "with ids that occur more than once"
