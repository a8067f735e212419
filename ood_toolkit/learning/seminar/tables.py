"""The seminar's tables: what was measured beside what was printed, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ood_toolkit import metrics
from ood_toolkit.api.registry import get_registry
from ood_toolkit.learning.seminar.figures import THRESHOLDS, Figures, Part
from ood_toolkit.learning.seminar.subject import Subject
from ood_toolkit.outputs.head import Head
from ood_toolkit.report import Report
from ood_toolkit.report.results import Answers

__all__ = [
    "BY_CONFIDENCE",
    "BY_ENTROPY",
    "ENSEMBLE",
    "accuracy_rows",
    "detection_rows",
    "set_row",
    "threshold_notes",
    "uncertainty_rows",
]

ENTROPY = "entropy:normalised=true"
BY_ENTROPY = {
    "class-wise": "classwise-entropy:rule=f1",
    "mean": f"mean:base=({ENTROPY}):rule=f1",
    "grid": f"grid:base=({ENTROPY})",
}
"""Zero-shot scorers by kind of threshold; class-wise ones are where right is best told from wrong predictions."""
BY_CONFIDENCE = {"class-wise": "classwise", "mean": "mean", "grid": "grid"}
"""Fine-tuned scorers by kind of threshold."""
ENSEMBLE = "max-confidence"


def _part(subject: Subject, figures: Figures) -> Part:
    return next(part for part in figures.sets if part.role == subject.role)


def set_row(subject: Subject, figures: Figures) -> dict[str, Any]:
    """Say which set plays a part, and how many images it has for what."""
    part = _part(subject, figures)
    return {
        "role": subject.role,
        "name": subject.name,
        "stands_for": subject.name != part.name,
        "classes": len(subject.classes),
        "train": len(subject.train),
        "val": len(subject.val),
        "test": len(subject.test),
        "split": subject.split,
        "published_train": part.train,
        "published_test": part.test,
    }


def accuracy_rows(subject: Subject, fine_tuned: Head, figures: Figures) -> list[dict[str, Any]]:
    """Set the accuracy of the zero-shot and the fine-tuned head beside the printed one, in percent."""
    part = _part(subject, figures)
    rows = []
    for model, head, printed in (
        ("zero-shot", subject.zero_shot, part.zero_shot),
        ("fine-tuned", fine_tuned, part.fine_tuned),
    ):
        measured = {
            f"measured_{split}": None if head is None else _right(subject, head, split) for split in ("train", "test")
        }
        rows.append(
            {"role": subject.role, "name": subject.name, "model": model, **measured}
            | {"published_train": printed[0], "published_test": printed[1]}
        )
    return rows


def _spec(text: str) -> str:
    """Write a scorer as rows name it."""
    return get_registry().scorer(text).spec


def _right(subject: Subject, head: Head, split: str) -> float:
    """Give the accuracy of a head on a split, in percent."""
    right = subject.under(head, split).right
    assert right is not None
    return 100 * float(right.double().mean())


def uncertainty_rows(subject: Subject, report: Report, figures: Figures) -> list[dict[str, Any]]:
    """Set what was measured of zero-shot entropy beside the printed figures, where there are any."""
    printed = {row.task: row.values for row in figures.uncertainty if row.role == subject.role}
    test = report.answers[subject.name, "test"]
    ood = [said for (name, key), said in report.answers.items() if name == subject.name and key.startswith("ood:")]
    rows = []
    for task, values in printed.items():
        for kind in THRESHOLDS:
            spec = _spec(BY_ENTROPY[kind])
            measured = _misclassified(test, spec) if task == "misclassified" else _out(test, ood, spec)
            names = {"role": subject.role, "name": subject.name, "task": task, "thresholds": kind, "scorer": spec}
            rows.append({**names, "published": values[kind], **measured})
    return rows


def threshold_notes(report: Report) -> list[str]:
    """Say which thresholds on zero-shot entropy are not what was asked for, as validation did not suffice."""
    kinds = {_spec(spec): kind for kind, spec in BY_ENTROPY.items()}
    said: dict[tuple[str, str], dict[str, None]] = {}
    for row in report.rows:
        if row.kind == "ood" and row.scorer in kinds:
            for note in row.notes:
                said.setdefault((row.id, note.removeprefix("f1: ")), {})[kinds[row.scorer]] = None
    return [f"{name}, {', '.join(found)} thresholds: {note}" for (name, note), found in said.items()]


def _misclassified(test: Answers, spec: str) -> dict[str, Any]:
    """Tell wrong predictions from right ones on the ID test."""
    assert test.right is not None
    kept, scores = test.accepted[spec], test.scores[spec]
    both = test.right.any() and not test.right.all()
    return {
        "wrong": int((~test.right).sum()),
        "f1": None if test.right.all() else metrics.f1_uncertain(~kept, ~test.right),
        "accuracy": metrics.accuracy_uncertain(~kept, ~test.right),
        "id_accepted": metrics.id_accepted(kept),
        "auroc": metrics.auroc(scores[test.right], scores[~test.right]) if both else None,
    }


def _out(test: Answers, ood: Sequence[Answers], spec: str) -> dict[str, Any]:
    """Tell the images of all other sets from the ID test."""
    kept = np.concatenate([test.accepted[spec], *(said.accepted[spec] for said in ood)])
    strange = np.arange(len(kept)) >= len(test)
    return {
        "f1": metrics.f1_uncertain(~kept, strange),
        "accuracy": metrics.accuracy_uncertain(~kept, strange),
        "id_accepted": metrics.id_accepted(test.accepted[spec]),
        "ood_detected": metrics.ood_detected(kept[strange]),
        "auroc": metrics.auroc(test.scores[spec], np.concatenate([said.scores[spec] for said in ood])),
    }


def detection_rows(
    roles: Sequence[str], found: Sequence[Subject], report: Report, figures: Figures
) -> list[dict[str, Any]]:
    """List how many OOD images a model, or two together, called uncertain, beside the printed figures."""
    printed = {row.ood: row for row in figures.detection if set(row.id) == set(roles)}
    roles_of = {subject.name: subject.role for subject in found}
    kinds = {_spec(spec): kind for kind, spec in BY_CONFIDENCE.items()}
    rows = []
    for row in report.rows:
        if row.kind != "ood" or row.status != "ok" or (len(roles) > 1 and row.decider.split(":")[0] != ENSEMBLE):
            continue
        kind = kinds[row.scorer]
        said = printed.get(roles_of.get(row.ood, "")) if kind == "class-wise" else None
        rows.append(
            {
                "id": [subject.name for role in roles for subject in found if subject.role == role],
                "id_roles": list(roles),
                "ood": row.ood,
                "ood_role": roles_of.get(row.ood, ""),
                "thresholds": kind,
                "images": row.n_ood,
                "uncertain": round(row["ood_detected"] * row.n_ood),
                "rate": 100 * row["ood_detected"],
                "published": None if said is None else said.rate,
                "id_accepted": 100 * row["id_accepted"],
                "auroc": 100 * row["auroc"],
                "tnr_at_tpr95": 100 * (1 - row["fpr95_id"]),
            }
        )
    return rows
