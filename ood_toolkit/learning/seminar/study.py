"""`study`: the whole seminar on three sets: entropy, fine-tuned heads, detection rates, ensembles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import Any

from ood_toolkit.benchmark.runner import Member, bench
from ood_toolkit.errors import DataError
from ood_toolkit.learning.heads.recipe import HeadRecipe
from ood_toolkit.learning.heads.train import TrainedHead, train_head
from ood_toolkit.learning.seminar.figures import Figures
from ood_toolkit.learning.seminar.subject import Subject
from ood_toolkit.learning.seminar.tables import (
    BY_CONFIDENCE,
    BY_ENTROPY,
    ENSEMBLE,
    accuracy_rows,
    detection_rows,
    set_row,
    threshold_notes,
    uncertainty_rows,
)
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.report import Report
from ood_toolkit.report.report import joined

__all__ = ["study"]

Tell = Callable[[str], None]


def study(
    subjects: Sequence[Subject],
    figures: Figures,
    recipe: HeadRecipe,
    more: Mapping[str, Outputs] | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    seed: int = 0,
    progress: Tell = lambda text: None,
) -> Report:
    """Do all that the seminar did, with these sets in its parts, and set each figure beside the printed one.

    `subjects` play the roles of the seminar, `more` are OOD sets of which it says nothing; `notes` are said below the
    tables. The header's `seminar` holds the tables, `rows` all that was measured on the way. Raises `DataError` where
    two sets share a class name.
    """
    _check_roles(subjects, figures)
    found, others = {subject.role: subject for subject in subjects}, dict(more or {})
    start = dict(about or {})
    reports: list[Report] = []
    uncertainty: list[dict[str, Any]] = []
    said = [*figures.notes, *notes, *_wordless(subjects)]
    for subject in subjects:
        if subject.zero_shot is not None:
            progress(f"zero-shot entropy of {subject.name}")
            reports.append(_zero_shot(subject, found, others, start))
            if rows := uncertainty_rows(subject, reports[-1], figures):
                uncertainty += rows
                said += threshold_notes(reports[-1])
    heads = {role: _fine_tuned(subject, recipe, progress) for role, subject in found.items()}
    detection: list[dict[str, Any]] = []
    for role in found:
        progress(f"detection by the model of {found[role].name}")
        reports.append(_detected(role, found, heads[role].head, others, start))
        detection += detection_rows((role,), subjects, reports[-1], figures)
    for pair in combinations(found, 2):
        progress(f"ensemble of {' and '.join(found[role].name for role in pair)}")
        reports.append(_together(pair, found, heads, others, start))
        detection += detection_rows(pair, subjects, reports[-1], figures)
    whole = joined(reports)
    tables = {
        "description": figures.description,
        "sources": list(figures.sources),
        "notes": [*said, *_faultless(uncertainty)],
        "model": str(start.get("model", "model")),
        "recipe": asdict(recipe),
        "seed": seed,
        "sets": [set_row(subject, figures) for subject in subjects],
        "accuracy": [row for subject in subjects for row in accuracy_rows(subject, heads[subject.role].head, figures)],
        "uncertainty": uncertainty,
        "detection": detection,
    }
    return replace(whole, header={**whole.header, "seminar": tables})


def _wordless(subjects: Sequence[Subject]) -> list[str]:
    """Say which sets have no class texts."""
    return [f"{one.name}: no class texts, so nothing zero-shot" for one in subjects if one.zero_shot is None]


def _faultless(uncertainty: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say where no prediction is wrong, so that there is no F1."""
    names = dict.fromkeys(row["name"] for row in uncertainty if row.get("wrong") == 0)
    return [f"{name}: every zero-shot prediction is right, so there is nothing wrong to find" for name in names]


def _check_roles(subjects: Sequence[Subject], figures: Figures) -> None:
    roles, wanted = [subject.role for subject in subjects], [part.role for part in figures.sets]
    if sorted(roles) != sorted(wanted):
        raise DataError(f"seminar: expected sets for {', '.join(wanted)}, got {', '.join(roles) or 'none'}")
    for one, other in combinations(subjects, 2):
        if both := set(one.classes) & set(other.classes):
            raise DataError(
                f"seminar: {one.name} and {other.name} share the class {sorted(both)[0]!r}, so neither is OOD for the "
                "other; name other sets"
            )


# -- what is measured -------------------------------------------------------------------------------------------------


def _ood(role: str, found: Mapping[str, Subject], head: Head, others: Mapping[str, Outputs]) -> dict[str, Outputs]:
    """Give the test images of all other sets under a head."""
    sets = {subject.name: subject.under(head, "test") for other, subject in found.items() if other != role}
    return {name: x.without_labels() for name, x in (sets | {n: x.with_head(head) for n, x in others.items()}).items()}


def _zero_shot(
    subject: Subject, found: Mapping[str, Subject], others: Mapping[str, Outputs], about: Mapping[str, Any]
) -> Report:
    assert subject.zero_shot is not None
    head = subject.zero_shot
    return bench(
        ",".join(BY_ENTROPY.values()),
        test=subject.under(head, "test"),
        ood=_ood(subject.role, found, head, others),
        val=subject.under(head, "val"),
        id_name=subject.name,
        about={**about, "model": f"{about.get('model', 'model')} zero-shot on {subject.name}"},
    )


def _fine_tuned(subject: Subject, recipe: HeadRecipe, progress: Tell) -> TrainedHead:
    progress(f"training a head on {subject.name}")
    return train_head(recipe, subject.train, subject.val, class_names=subject.classes)


def _detected(
    role: str, found: Mapping[str, Subject], head: Head, others: Mapping[str, Outputs], about: Mapping[str, Any]
) -> Report:
    subject = found[role]
    return bench(
        ",".join(BY_CONFIDENCE.values()),
        test=subject.under(head, "test"),
        ood=_ood(role, found, head, others),
        val=subject.under(head, "val"),
        id_name=subject.name,
        about={**about, "model": f"{about.get('model', 'model')} fine-tuned on {subject.name}"},
    )


def _together(
    pair: tuple[str, str], found: Mapping[str, Subject], heads: Mapping[str, TrainedHead],
    others: Mapping[str, Outputs], about: Mapping[str, Any],
) -> Report:  # fmt: skip
    names = [found[role].name for role in pair]
    rest = {role: subject for role, subject in found.items() if role not in pair}
    members = {
        found[role].name: Member(
            val=found[role].under(heads[role].head, "val"),
            tests={found[other].name: found[other].under(heads[role].head, "test") for other in pair},
            ood=_ood("", rest, heads[role].head, others),
        )
        for role in pair
    }
    return bench(
        BY_CONFIDENCE["class-wise"],
        members=members,
        combiners=ENSEMBLE,
        about={**about, "model": f"{about.get('model', 'model')} fine-tuned on {' and '.join(names)}"},
    )
