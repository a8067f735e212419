"""Answers to rows: metrics of one scorer for every OOD set, their means, and misclassification on ID."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.results import Answers, Row

__all__ = ["About", "header_of", "mean_rows", "misclassification", "ood_rows"]


@dataclass(frozen=True)
class About:
    """Whose answers are turned to rows, and what every row of theirs repeats."""

    spec: str
    id_name: str
    decider: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

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
    found = dict(metrics.evaluate(test.scores[spec], said.scores[spec], protocol))
    if spec in test.accepted:
        found["id_accepted"] = metrics.id_accepted(test.accepted[spec])
        found["ood_detected"] = metrics.ood_detected(said.accepted[spec])
    return about.row("ood", ood=name, notes=about.notes, metrics=found, **sizes)


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
    """Ask on ID alone how well the score tells wrong predictions from right ones; none without labels."""
    spec = about.spec
    if test.right is None:
        return []
    if spec in test.failed:
        return [about.row("misclassification", status="failed", notes=(test.failed[spec],), n_id=len(test))]
    scores, right = test.scores[spec], test.right
    notes, found = about.notes, {}
    if right.all() or not right.any():
        notes += (f"all {len(right)} predictions are {'right' if right.all() else 'wrong'}: nothing to tell apart",)
    else:
        measures = {"auroc": metrics.auroc, "aurc": metrics.aurc, "eaurc": metrics.eaurc}
        found = {name: measure(scores[right], scores[~right]) for name, measure in measures.items()}
    if spec in test.accepted:
        uncertain = ~test.accepted[spec]
        found["f1_uncertain"] = metrics.f1_uncertain(uncertain, ~right)
        found["accuracy_uncertain"] = metrics.accuracy_uncertain(uncertain, ~right)
        found["id_accepted"] = metrics.id_accepted(~uncertain)
    return [about.row("misclassification", n_id=len(test), notes=notes, metrics=found)]


def header_of(name: str, sets: Mapping[str, Answers]) -> dict[str, Any]:
    """Say how large the ID sets are, how accurate the model is on the test and how calibrated (ECE)."""
    test = sets["test"]
    found: dict[str, Any] = {"name": name, "images": len(test)}
    if "val" in sets:
        found["validation_images"] = len(sets["val"])
    if test.right is not None and test.confidence is not None:
        found["accuracy"] = metrics.accuracy(test.right)
        found["ece"] = metrics.ece(test.confidence, test.right)
    return found
