"""`run`: settings to a report: every model on the same sets and scorers, joined."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ood_toolkit.benchmark.checks import (
    averaged,
    check_labels,
    check_options,
    check_sets,
    merging,
    reference,
    wants_averages,
)
from ood_toolkit.benchmark.opening import asked_by, opened
from ood_toolkit.benchmark.preflight import check_here, check_ready, check_scorer_names
from ood_toolkit.benchmark.refusals import Refusals
from ood_toolkit.benchmark.settings import Settings, options
from ood_toolkit.errors import UsageError
from ood_toolkit.metrics import find_protocol

if TYPE_CHECKING:
    from ood_toolkit.api.registry import Registry
    from ood_toolkit.api.stream import AnyScorer
    from ood_toolkit.benchmark.gather import Gathered
    from ood_toolkit.encode.sets import Sets
    from ood_toolkit.report import Report

__all__ = ["Told", "checked", "gathered", "planned", "run"]


class Told:
    """What a long run says while it goes on; this one says nothing."""

    def progress(self, what: str, done: int = 0, of: int = 0, each: str = "images", at: str = "") -> None:
        """Say what is done now, how far it is, and which scorer is at work."""

    def loading(self) -> None:
        """Say that torch is loaded, which takes seconds, where it is not there yet."""
        if "torch" not in sys.modules:
            self.progress("loading torch")

    def encoded(self, about: dict[str, Any], seconds: float) -> None:
        """Say what was encoded, and what could not be read."""


def run(
    settings: Settings,
    registry: Registry,
    told: Told,
    given: Collection[str] = (),
    command: Sequence[str] = (),
    suggested: Sequence[str] = (),
    gallery: int = 0,
) -> Report:
    """Run every model of the settings on the same sets and scorers, and join what they gave.

    `given` names the fields that the user set: with ready scores those that would do nothing are refused. `command` is
    recorded in the header; `suggested` are models to name where none is named and none fits; `gallery` is how many
    images of each kind of error get a thumbnail, 0 for no gallery. Raises `UsageError`,
    `DataError`, `ScorerError` and kin before the first model runs where that can be known by then.
    """
    from ood_toolkit.report.report import joined

    parts = planned(settings, registry, suggested)
    if len(parts) > 1 and settings.combiners:
        return _of_classifiers(parts, registry, told, command, gallery)
    return joined([_of_model(part, registry, told, given, command, gallery) for part in parts])


def checked(settings: Settings, registry: Registry) -> Settings:
    """Give the settings as they run, with default sets and what scorers want encoded; refuse what `checks` refuses."""
    refused = Refusals()
    made = _checked(settings, registry, refused)
    refused.raise_all()
    return made


def planned(settings: Settings, registry: Registry, suggested: Sequence[str] = ()) -> list[Settings]:
    """Give the settings of each model's part of a run; refuse all that can be refused before the first one runs.

    All of it is said at once.
    """
    refused = Refusals()
    made = _checked(settings, registry, refused)
    with refused:
        check_ready(made)
    with refused:
        check_here(made, registry, suggested)
    refused.raise_all()
    return list(made.each_classifier() if made.combines_classifiers else made.each_model())


def _checked(settings: Settings, registry: Registry, refused: Refusals) -> Settings:
    """Give the settings as they run, as far as they can; what is wrong with them is `refused`."""
    with refused:
        find_protocol(settings.protocol)
    scorers: list[AnyScorer] = []
    with refused:
        check_scorer_names(settings, registry)
        reference(settings, registry)
        if wants_averages(settings):
            settings = replace(settings, scorers=averaged(settings.scorers, registry))
        scorers = registry.scorers(settings.scorers, {})  # what is out of service becomes rows of the report
        check_labels(settings.ready, [scorer.spec for scorer in scorers])
    settings = settings.with_default_sets()
    with refused:
        merging(settings.combiners, registry, len(settings.ids) > 1)
    with refused:
        check_options(settings)
    with refused:
        check_sets(settings, scorers)
    if scorers:
        with refused:
            return asked_by(settings, scorers, settings.scorers, registry)
    return settings


def _of_model(
    settings: Settings, registry: Registry, told: Told, given: Collection[str], command: Sequence[str], gallery: int
) -> Report:
    """Encode what the store lacks of one model, and score."""
    told.loading()
    scorers = registry.scorers(settings.scorers, {})
    needs = {need for scorer in scorers for need in scorer.needs}
    sets = opened(settings, registry, told.progress)
    from ood_toolkit.benchmark.gather import ready_scores
    from ood_toolkit.benchmark.ready import imported, sources
    from ood_toolkit.benchmark.runner import bench, bench_scores
    from ood_toolkit.benchmark.thumbnails import with_gallery

    ready = ready_scores(sets, [*settings.ids, *settings.ood, *settings.csid])
    about: dict[str, Any] = {"command": list(command)}
    about |= {"ready": sources(settings)} if settings.ready else {}
    if ready is not None:
        _refuse_what_does_not_apply(given)
        about = {"model": sets.label, **sets.about(), **about}
        report = bench_scores(ready, settings.ids, settings.groups, about, settings.protocol, settings.csid)
        return with_gallery(report, sets, gallery) if gallery else report
    found = gathered(settings, sets, needs, told)
    report = bench(
        settings.scorers,
        members=found.members,
        combiners=settings.combiners,
        groups=found.groups,
        protocol=settings.protocol,
        about={**found.about, **about},
        progress=told.progress,
        seed=settings.seed,
        tune=found.tune or None,
        ready=imported(settings, sets, found.members),
    )
    return with_gallery(report, sets, gallery, told.progress) if gallery else report


def _of_classifiers(
    parts: Sequence[Settings], registry: Registry, told: Told, command: Sequence[str], gallery: int
) -> Report:
    """Encode what the store lacks for every classifier of an ID set, score, and combine."""
    told.loading()
    out_of_service: dict[str, str] = {}
    scorers = registry.scorers(parts[0].scorers, out_of_service)
    needs = {need for scorer in scorers for need in scorer.needs}
    from ood_toolkit.benchmark.classifiers import Classifiers
    from ood_toolkit.benchmark.gather import ready_scores
    from ood_toolkit.benchmark.members import sharing
    from ood_toolkit.benchmark.progress import spoken
    from ood_toolkit.benchmark.thumbnails import with_gallery

    members, about = {}, {}
    for part in parts:
        sets = opened(part, registry, told.progress)
        if ready_scores(sets, [*part.ids, *part.ood, *part.csid]) is not None:
            raise UsageError("--combiners: does not apply to sets of which ready scores were imported")
        found = gathered(part, sets, needs, told)
        label = part.heads[0] if part.heads else sets.label
        members[label] = found.members[part.ids[0]]
        about[label] = {**found.about, "command": list(command)}
    (id_name,) = parts[0].ids
    run = Classifiers(
        id_name, sharing(members, id_name), scorers, spoken(told.progress), found.groups, part.protocol, part.seed
    )
    report = run.report(registry.combiners(part.combiners), out_of_service, about)
    return with_gallery(report, sets, gallery, told.progress) if gallery else report


def gathered(
    settings: Settings, sets: Sets, needs: Collection[str], told: Told, *, with_train: bool = False
) -> Gathered:
    """Encode what the store lacks, and say what was encoded and what could not be read."""
    from ood_toolkit.benchmark.gather import gather

    start = time.monotonic()
    found = gather(settings, sets, with_train=with_train or bool({"train", "train_labels"} & set(needs)))
    told.encoded(found.about, time.monotonic() - start)
    return found


def _refuse_what_does_not_apply(given: Collection[str]) -> None:
    """Ready scores are what they are: nothing is fitted, split or drawn from them."""
    for name, option in options().items():
        if option.of_outputs and name in given:
            raise UsageError(f"{option.flag}: does not apply to sets of which ready scores were imported")
