"""Answers to rows: metrics of one scorer for every OOD set, their means, and misclassification on ID."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.metrics.selective import right_from_wrong
from ood_toolkit.report.doubts import CONSTANT, doubts_of, is_constant
from ood_toolkit.report.results import TEST, VAL, Answers, Row, joined

__all__ = [
    "About",
    "full_header",
    "full_name",
    "full_spectrum",
    "header_of",
    "mean_rows",
    "misclassification",
    "ood_rows",
]


@dataclass(frozen=True)
class About:
    """Whose answers are turned to rows, and what every row of theirs repeats."""

    spec: str
    id_name: str
    decider: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def full(self) -> About:
        """The same on the full spectrum."""
        return replace(self, id_name=full_name(self.id_name))

    def row(self, kind: Any, **values: Any) -> Row:
        """Make a row."""
        return Row(kind, self.spec, self.id_name, decider=self.decider, seconds=self.seconds, **values)


def ood_rows(about: About, test: Answers, ood: Mapping[str, Answers], protocol: str) -> list[Row]:
    """Compare the ID test with each OOD set."""
    return [_ood_row(about, test, name, said, protocol) for name, said in ood.items()]


def _ood_row(about: About, test: Answers, name: str, said: Answers, protocol: str) -> Row:
    spec, sizes = about.spec, {"n_id": len(test), "n_ood": len(said)}
    failed = test.failed.get(spec) or said.failed.get(spec)
    if failed:
        return about.row("ood", ood=name, status="failed", notes=(failed,), **sizes)
    scores = test.beside(name, spec), said.beside(name, spec)
    found = dict(metrics.evaluate(*scores, protocol))
    if spec in test.accepted:
        found["id_accepted"] = metrics.id_accepted(test.accepted[spec])
        found["ood_detected"] = metrics.ood_detected(said.accepted[spec])
    notes = about.notes + ((CONSTANT,) if is_constant(*scores) else ())
    return about.row("ood", ood=name, notes=notes, metrics=found, **sizes)


def mean_rows(rows: Sequence[Row], groups: Mapping[str, Sequence[str]]) -> list[Row]:
    """Average rows over each group of OOD sets, and over all where there are several; each set counts the same."""
    usable = [row for row in rows if row.kind == "ood" and row.status == "ok"]
    wanted = {**groups, "all": [row.ood for row in rows]}
    made = []
    for name, members in wanted.items():
        part = [row for row in usable if row.ood in members]
        if not part or len(part) != len(set(members)) or (name == "all" and len(part) < 2):
            continue
        first = part[0]
        shared = [key for key in first.metrics if all(key in row.metrics for row in part)]
        mean = {key: float(np.mean([row.metrics[key] for row in part])) for key in shared}
        total = sum(row.n_ood for row in part)
        made.append(
            Row("mean", first.scorer, first.id, name, first.decider, n_id=first.n_id, n_ood=total,
                seconds=first.seconds, metrics=mean)
        )  # fmt: skip
    return made


def misclassification(about: About, test: Answers) -> list[Row]:
    """Ask on ID alone how well the score tells wrong predictions from right ones; none without labels.

    Images whose class is not known are left out.
    """
    spec = about.spec
    if test.right is None:
        return []
    if spec in test.failed:
        return [about.row("misclassification", status="failed", notes=(test.failed[spec],), n_id=len(test))]
    known = test.known
    scores, right = test.scores[spec][known], test.right[known]
    notes, found = about.notes, {}
    if right.all() or not right.any():
        notes += (f"all {len(right)} predictions are {'right' if right.all() else 'wrong'}: nothing to tell apart",)
    else:
        found = right_from_wrong(scores[right], scores[~right])
    if spec in test.accepted:
        uncertain = ~test.accepted[spec][known]
        found["f1_uncertain"] = metrics.f1_uncertain(uncertain, ~right)
        found["accuracy_uncertain"] = metrics.accuracy_uncertain(uncertain, ~right)
        found["id_accepted"] = metrics.id_accepted(~uncertain)
    return [about.row("misclassification", n_id=len(right), notes=notes, metrics=found)]


def full_name(id_name: str) -> str:
    """Name the full spectrum of an ID set: its test together with the covariate-shifted sets."""
    return f"{id_name}+csid"


def full_spectrum(sets: Mapping[str, Answers], shifted: Iterable[str]) -> Answers:
    """Join what is said of the ID test and of these covariate-shifted ID sets, all of which count as ID."""
    return joined([sets[TEST], *(sets[f"csid:{name}"] for name in shifted)])


def full_header(id_name: str, sets: Mapping[str, Answers], shifted: Sequence[str]) -> dict[str, Any]:
    """Say how large the full spectrum and each covariate-shifted set are, and how accurate the model is on them."""
    parts = [{"name": name, **_facts(sets[f"csid:{name}"])} for name in shifted]
    return {"name": full_name(id_name), **_facts(full_spectrum(sets, shifted)), "sets": parts}


def header_of(name: str, sets: Mapping[str, Answers], classes: int = 0) -> dict[str, Any]:
    """Say how large the ID sets are, how accurate the model is on the test and how calibrated (ECE).

    `classes` is how many classes the model has, where that is known, for a note on accuracy that is no better than
    chance.
    """
    test = sets[TEST]
    validation = {"validation_images": len(sets[VAL])} if VAL in sets else {}
    notes = doubts_of(sets, classes)
    return {"name": name, **_facts(test), **validation, **({"notes": notes} if notes else {})}


def _facts(said: Answers) -> dict[str, Any]:
    """Count images and, where the truth is known, give accuracy and ECE of those of which it is."""
    found: dict[str, Any] = {"images": len(said)}
    if said.truth is not None and not said.known.all():
        found["unlabelled"] = int((~said.known).sum())
    if said.right is not None and said.confidence is not None:
        known = said.known
        found["accuracy"] = metrics.accuracy(said.right[known])
        found["ece"] = metrics.ece(said.confidence[known], said.right[known])
    return found
