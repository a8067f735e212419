"""Hyper-parameter search: every candidate of every scorer on ID validation and OOD validation sets, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ood_toolkit import metrics
from ood_toolkit.api.scorer import Scorer
from ood_toolkit.api.spec import format_value
from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.benchmark.members import Member, member_sets
from ood_toolkit.benchmark.progress import spoken
from ood_toolkit.benchmark.scoring import Scoring
from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.report.results import TEST, VAL
from ood_toolkit.scorers.candidates import candidates, searched

__all__ = ["Tuning", "check_searched", "tuned"]


@dataclass(frozen=True)
class Tuning:
    """The scorers of a run with the parameters that were chosen."""

    scorers: list[AnyScorer]
    """Each once; those without anything to search as they were."""
    notes: Mapping[str, tuple[str, ...]]
    """What rows say of the search, by the spec that was chosen."""
    about: Mapping[str, Any]
    """The sets of the search, and of each scorer its old and new spec and the AUROC of every candidate."""


def check_searched(scorers: Sequence[AnyScorer]) -> None:
    """Raise `ScorerError` where no scorer has anything to search."""
    if not any(map(searched, scorers)):
        named = ", ".join(scorer.spec for scorer in scorers)
        raise ScorerError(
            f"tune: expected a scorer with a grid of which a parameter is at its default, got {named}; "
            "oodkit scorers show NAME tells its grid"
        )


def tuned(
    scorers: Sequence[AnyScorer],
    members: Mapping[str, Member],
    against: Mapping[str, Outputs],
    progress: Callable[..., None],
) -> Tuning:
    """Choose the candidate of each scorer with the largest mean AUROC of ID validation against OOD validation sets.

    Of equal ones that with the fewest changes is taken, then the first of the grid. Nothing but ID validation, ID
    training and these sets is looked at. A candidate that fails is left out; where all do the scorer stays as it is.
    """
    check_searched(scorers)
    name, member = _one_member(members, against)
    refused: dict[str, dict[str, str]] = {}
    tried = {
        one.spec: candidates(one, refused.setdefault(one.spec, {}))
        for one in scorers
        if isinstance(one, Scorer) and searched(one)
    }
    every = {one.spec: one for listed in tried.values() for one in listed}

    say = spoken(progress)

    def told(what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
        say(f"tuning, {what}", done, of, each, at)

    scoring = Scoring(list(every.values()), told)
    aurocs, failed = _measured(scoring, name, member)
    chosen: dict[str, AnyScorer] = {}
    notes: dict[str, tuple[str, ...]] = {}
    about = []
    for scorer in scorers:
        best, listed = scorer, tried.get(scorer.spec, [])
        if isinstance(scorer, Scorer) and listed:
            known = {one.spec: aurocs[one.spec] for one in listed if one.spec in aurocs}
            lost = {one.spec: failed[one.spec] for one in listed if one.spec in failed} | refused[scorer.spec]
            best = _best(listed, known)
            notes[best.spec] = (*notes.get(best.spec, ()), *_notes(scorer, best, member.ood, known, lost))
            seconds = sum(scoring.seconds.get(one.spec, 0.0) for one in listed)
            about.append({"from": scorer.spec, "to": best.spec, "auroc": known, "left_out": lost, "seconds": seconds})
        chosen.setdefault(best.spec, best)
    sizes = {ood: len(x) for ood, x in member.ood.items()}
    return Tuning(list(chosen.values()), notes, {"against": sizes, "scorers": about})


def _one_member(members: Mapping[str, Member], against: Mapping[str, Outputs]) -> tuple[str, Member]:
    """Give the one ID set and what is looked at in the search: its validation in place of its test."""
    given: object = against
    if not isinstance(given, Mapping) or not given:
        raise OutputsError(f"tune: expected a mapping of names to OOD validation outputs, got {given!r}")
    if len(members) > 1:
        raise OutputsError(f"tune: expected one ID set, got {len(members)}: {', '.join(members)}")
    (name, member), *_ = members.items()
    val = member.val.get(name) if isinstance(member.val, Mapping) else member.val
    if val is None:
        raise OutputsError("tune: needs val, ID validation outputs; without them there is nothing to tune on")
    sets = {ood: as_outputs(x, f"tune {ood!r}") for ood, x in against.items()}
    tested = {**member.ood, **member.csid, **member.tests}
    for ood, x in sets.items():
        same = ood if ood in tested else next((other for other, y in tested.items() if x is y), None)
        if same is not None:
            raise OutputsError(f"tune: {same!r} is tested on; name a set of which no image is")
    looked_at = Member(val, {name: val}, sets, member.train, heads=member.heads, reads_prompts=member.reads_prompts)
    return name, looked_at


def _measured(scoring: Scoring, name: str, member: Member) -> tuple[dict[str, float], dict[str, str]]:
    """Give the mean AUROC of ID validation against the OOD sets, and why there is none, by spec."""
    answers = scoring.scores(name, member, member_sets(name, member), without=(TEST,))
    aurocs: dict[str, float] = {}
    failed = {spec: row.notes[0] for (_, spec), row in scoring.left_out.items()}
    for said in answers.values():
        failed |= {spec: why for spec, why in said.failed.items() if spec not in failed}
    for scorer in scoring.scorers:
        spec = scorer.spec
        if spec not in failed:
            known, *others = (answers[key].scores[spec] for key in (VAL, *(f"ood:{ood}" for ood in member.ood)))
            aurocs[spec] = fmean(metrics.auroc(known, other) for other in others)
    return aurocs, failed


def _best(listed: Sequence[Scorer], aurocs: Mapping[str, float]) -> Scorer:
    """Give the first of those with the largest AUROC; the first of all where none was measured."""
    return max(listed, key=lambda one: aurocs.get(one.spec, -1.0))


def _notes(
    scorer: Scorer, best: Scorer, against: Collection[str], aurocs: Mapping[str, float], failed: Mapping[str, str]
) -> tuple[str, ...]:
    """Say what was chosen of what, and what was left out."""
    spec, why = next(iter(failed.items()), ("", ""))
    if not aurocs:
        return (f"not tuned: all {len(failed)} candidates failed, such as {spec}: {why}",)
    start, top = (100 * aurocs[one] if one in aurocs else None for one in (scorer.spec, best.spec))
    default = "the default" if best is scorer else "default failed" if start is None else f"default {start:.2f}"
    values = "; ".join(
        f"{name}={format_value(getattr(best, name))} of {', '.join(map(format_value, tried))}"
        for name, tried in searched(scorer).items()
    )
    chosen = f"tuned on ID validation against {', '.join(against)}: {values} (AUROC {top:.2f}, {default})"
    if not failed:
        return (chosen,)
    return chosen, f"{len(failed)} of {len(aurocs) + len(failed)} candidates left out, such as {spec}: {why}"
