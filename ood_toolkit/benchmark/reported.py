"""Rows of a run under their header, as a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.rows import Rows
from ood_toolkit.outputs.doubts import doubts_of_head, doubts_of_outputs
from ood_toolkit.report import Report
from ood_toolkit.report.evaluation import full_header, header_of
from ood_toolkit.report.results import Answers, Row
from ood_toolkit.report.versions import versions

__all__ = ["lost", "reported"]


def reported(
    rows: Rows, listed: Sequence[Row], about: Mapping[str, Any], tuning: Mapping[str, Any] | None = None
) -> Report:
    """Put rows under a header: the sets of the run, what was said of the ID sets, `tuning`, and `about`."""
    (first, member), *_ = rows.members.items()
    answers, csid = rows.answers, member.csid
    header = {
        "protocol": rows.protocol,
        "id": [_of_id(name, answers[name], one) for name, one in rows.members.items()],
        "ood": {ood: len(x) for ood, x in member.ood.items()},
        **({"class_names": names} if (names := _class_names(rows.members)) else {}),
        **({"groups": rows.groups} if rows.groups else {}),
        **({"csid": full_header(first, answers[first], list(csid))} if csid else {}),
        **({} if tuning is None else {"tuned": tuning}),
        "shared_seconds": rows.scoring.shared_seconds,
        "versions": versions(),
        **about,
    }
    if doubts := _doubts(rows.members):
        header["notes"] = [*header.get("notes", []), *doubts]
    kept: dict[tuple[str, ...], Answers] = {(n, key): said for n, sets in answers.items() for key, said in sets.items()}
    model = str(header.get("model", ""))
    return Report([replace(row, model=model) for row in listed], header, kept | rows.merged)


def _of_id(name: str, sets: Mapping[str, Answers], member: Member) -> dict[str, Any]:
    """Say of an ID set how large it is, how the model does on it, and of which kind the head is, if there is one."""
    test = member.tests[name]
    return header_of(name, sets, test.classes) | ({} if test.head is None else {"head": test.head.kind})


def _class_names(members: Mapping[str, Member]) -> dict[str, list[str]]:
    """Give the classes of each ID set by name, in the order of the model's, where they are known."""
    known = {name: member.tests[name].class_names for name, member in members.items()}
    return {name: list(names) for name, names in known.items() if names is not None}


def lost(out_of_service: Mapping[str, str], id_name: str, ood: Sequence[str]) -> list[Row]:
    """Give failed rows of what could not be made of a spec, such as a scorer of a plugin that does not load."""
    rows = [Row("ood", spec, id_name, status="failed", notes=(why,)) for spec, why in out_of_service.items()]
    return [replace(row, ood=name) for row in rows for name in ood] if ood else rows


def _doubts(members: Mapping[str, Member]) -> list[str]:
    """Say of which outputs one may doubt that they are what they are said to be, each thing once."""
    notes: dict[str, None] = {}
    for name, member in members.items():
        sets = {**member.tests, **member.ood}
        notes |= {f"{name}: {doubt}": None for doubt in doubts_of_head(sets[name].head)}
        notes |= {f"{one}: {doubt}": None for one, x in sets.items() for doubt in doubts_of_outputs(x)}
    return list(notes)
