"""What members say of the same images, merged by a combiner: of a union of ID sets, or of one that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ood_toolkit.api.combiner import PROBABILITIES, Combiner, Scored
from ood_toolkit.benchmark.members import Member, has_shared_val
from ood_toolkit.errors import OutputsError
from ood_toolkit.report.results import TEST, VAL, Answers, joined, union

__all__ = ["combined", "combined_on_one_set"]


def combined(
    combiner: Combiner,
    spec: str,
    members: Mapping[str, Member],
    answers: Mapping[str, Mapping[str, Answers]],
    cuts: Mapping[str, float],
    calibration: Mapping[str, np.ndarray],
) -> dict[str, Answers]:
    """Fit a combiner on validation and merge what the members say of the union of ID tests and of each OOD set.

    `cuts` is the score from which each member says "in-distribution", `calibration` the cross-fitted scores (n,) of its
    own validation, of those members whose scorer learns from it.
    """
    names = list(members)
    shared = all(has_shared_val(member, names) for member in members.values())
    vals = [_scored_val(name, names, answers[name], spec, cuts[name], shared) for name in names]
    combiner.fit([_with(val, calibration.get(name)) for name, val in zip(names, vals, strict=True)])
    keys = [TEST, *(f"ood:{ood}" for ood in members[names[0]].ood)]
    parts = {k: [union(answers[name], name, names) if k == TEST else answers[name][k] for name in names] for k in keys}
    return _merged(combiner, spec, parts, lambda part, place: _scored(part, spec, cuts[names[place]]))


def combined_on_one_set(
    combiner: Combiner,
    spec: str,
    answers: Mapping[str, Mapping[str, Answers]],
    classes: Mapping[str, np.ndarray],
    cuts: Mapping[str, float],
    calibration: Mapping[str, np.ndarray],
) -> dict[str, Answers]:
    """Fit a combiner on the validation images of a set, and merge what its classifiers say of every other set.

    `classes` are the names (k,) of each classifier's classes, for a combiner of probabilities; that knows no `spec` but
    its own, and no cuts.
    """
    names = list(answers)

    def said(part: Answers, place: int) -> Scored:
        name = names[place]
        if PROBABILITIES in combiner.needs:
            return _probable(part, classes[name])
        return _scored(part, spec, cuts[name])

    vals = [said(answers[name][VAL], place) for place, name in enumerate(names)]
    combiner.fit([_with(val, calibration.get(name)) for name, val in zip(names, vals, strict=True)])
    parts = {key: [answers[name][key] for name in names] for key in answers[names[0]] if key != VAL}
    return _merged(combiner, spec, parts, said)


def _merged(
    combiner: Combiner, spec: str, sets: Mapping[str, Sequence[Answers]], said: Callable[[Answers, int], Scored]
) -> dict[str, Answers]:
    """Merge, set by set, what each member says in the words of `said`, which is told the member's place."""
    made = {}
    for key, parts in sets.items():
        if any(len(part) != len(parts[0]) or (part.ids != parts[0].ids).any() for part in parts):
            raise OutputsError(f"members are not aligned: their ids differ on {key}; give the same images in one order")
        merged: object = combiner.combine([said(part, place) for place, part in enumerate(parts)])
        if not isinstance(merged, Scored) or len(merged) != len(parts[0]):
            got = f"{len(merged)} rows" if isinstance(merged, Scored) else repr(merged)
            raise OutputsError(f"combine: expected a Scored of {len(parts[0])} rows, got {got}")
        made[key] = _answers_of(merged, parts[0], spec)
    return made


def _scored(said: Answers, spec: str, cut: float, own: np.ndarray | None = None) -> Scored:
    if spec in said.failed:
        raise OutputsError(said.failed[spec])
    if said.prediction is None or said.confidence is None:
        raise OutputsError("combining needs logits, for predictions and their confidence")
    return Scored(said.prediction, said.confidence, said.scores[spec], said.scores[spec] - cut, own)


def _probable(said: Answers, classes: np.ndarray) -> Scored:
    """Give the probabilities of all classes; what stands as the score is the largest of them."""
    if said.prediction is None or said.confidence is None or said.probabilities is None:
        raise OutputsError("combining needs logits, for predictions and their probabilities")
    sure = said.confidence
    return Scored(said.prediction, sure, sure, sure, probabilities=said.probabilities, classes=classes)


def _scored_val(
    name: str, names: Sequence[str], sets: Mapping[str, Answers], spec: str, cut: float, shared: bool
) -> Scored:
    if not shared:
        return _scored(sets[VAL], spec, cut, np.ones(len(sets[VAL]), dtype=bool))
    parts = [sets[VAL if name == other else f"val:{other}"] for other in names]
    own = np.concatenate([np.full(len(part), other == name) for part, other in zip(parts, names, strict=True)])
    return _scored(joined(parts), spec, cut, own)


def _with(val: Scored, calibration: np.ndarray | None) -> Scored:
    """Put the cross-fitted scores in the place of those that a member gave its own validation."""
    if calibration is None:
        return val
    fresh = val.score.copy()
    fresh[slice(None) if val.own is None else val.own] = calibration
    return replace(val, calibration=fresh)


def _answers_of(merged: Scored, like: Answers, spec: str) -> Answers:
    right = None if like.right is None else merged.prediction == like.truth
    said = Answers(like.ids, {spec: merged.score}, {}, merged.prediction, merged.confidence, right, like.truth)
    said.accepted[spec], said.source = merged.accepted, like.source
    return said
