"""Which results of a run a plot shows: rows by scorer, sets and model, with what they were computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ood_toolkit.api.spec import nearest, split_specs
from ood_toolkit.errors import DataError
from ood_toolkit.report.images_of_rows import Case, case_of
from ood_toolkit.report.plot.style import MOST
from ood_toolkit.report.results import Found, Row

__all__ = ["Chosen", "Wanted", "best", "cases", "named", "one_case", "rows_of", "specs_of"]

Wanted = str | Iterable[str] | None
"""One or several names, in one text or each in its own; None for what a plot shows by itself."""


class Chosen(list[Any]):
    """What a plot shows, and of how many that is a part."""

    def __init__(self, shown: Iterable[Any], of: int) -> None:
        super().__init__(shown)
        self.of = of

    @property
    def part(self) -> str:
        """Say which part of the scorers is shown, "" where it is all."""
        return "" if len(self) == self.of else f", best {len(self)} of {self.of} scorers"


def specs_of(wanted: Wanted) -> list[str] | None:
    """Read names of scorers or sets."""
    if wanted is None:
        return None
    texts = [wanted] if isinstance(wanted, str) else list(wanted)
    return list(dict.fromkeys(part for text in texts for part in split_specs(text)))


def rows_of(found: Found, kind: str, scorers: Wanted, id_name: str | None, model: str | None) -> list[Row]:
    """Give the rows of a kind that hold results, of one ID set, and in the order of the named scorers.

    Without a name the first ID set counts. `DataError` where there are none, or a name is unknown.
    """
    rows = [row for row in found.rows if row.kind == kind and row.status == "ok"]
    if not rows:
        what = {"ood": "scores of an OOD set", "misclassification": "labels of the ID test, and wrong predictions"}
        raise DataError(f"expected a run with {what.get(kind, kind)}, this one has none; run oodkit bench with them")
    if model is not None:
        _check("model", model, [row.model for row in rows])
        rows = [row for row in rows if row.model == model]
    if id_name is not None:
        _check("ID set", id_name, [row.id for row in rows])
    rows = [row for row in rows if row.id == (rows[0].id if id_name is None else id_name)]
    specs = specs_of(scorers)
    if specs is None:
        return rows
    for spec in specs:
        _check("scorer", spec, [row.scorer for row in rows])
    return sorted((row for row in rows if row.scorer in specs), key=lambda row: specs.index(row.scorer))


def cases(
    found: Found, scorers: Wanted, ood: str | None, id_name: str | None, model: str | None
) -> tuple[list[Case], str]:
    """Give what the rows of one OOD set, the first where none is named, were computed from; and its name."""
    rows = rows_of(found, "ood", scorers, id_name, model)
    if ood is not None:
        _check("OOD set", ood, [row.ood for row in rows])
    name = rows[0].ood if ood is None else ood
    return [case for row in rows if row.ood == name and (case := case_of(found, row)) is not None], name


def one_case(found: Found, scorer: str | None, ood: str | None, id_name: str | None, model: str | None) -> Case:
    """Give what one row was computed from, the first of the run where nothing else is asked for."""
    held, _ = cases(found, None if scorer is None else [scorer], ood, id_name, model)
    return held[0]


def best(held: Sequence[Any], value: Callable[[Any], float], asked: bool) -> Chosen:
    """Order by a value, the largest first; of too many keep the best, unless all of them were asked for by name."""
    ordered = sorted(held, key=value, reverse=True)
    if asked and len(ordered) > MOST:
        raise DataError(f"expected at most {MOST} lines in one plot, got {len(ordered)}; name fewer scorers")
    return Chosen(ordered[:MOST], len(ordered))


def named(rows: Sequence[Row]) -> list[str]:
    """Name rows by their scorer, and by what else tells them apart."""
    keys = [key for key in ("model", "decider") if len({getattr(row, key) for row in rows}) > 1]
    return [" ".join([row.scorer, *(part for key in keys if (part := getattr(row, key)))]) for row in rows]


def _check(what: str, name: str, known: Iterable[str]) -> None:
    names = list(dict.fromkeys(known))
    if name not in names:
        raise DataError(f"no {what} {name!r} with results in this run; {nearest(name, names)}")
