"""Ready scores of a method of one's own beside the scorers of a run, matched to its images by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ood_toolkit.api.spec import nearest
from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.encode.imported_sets import ImportedSets
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError, OutputsError
from ood_toolkit.metrics.scores import as_scores
from ood_toolkit.outputs import Outputs
from ood_toolkit.report.results import VAL, Answers
from ood_toolkit.store.files import default_store
from ood_toolkit.store.imports import Imports

__all__ = ["NOTE", "checked", "imported", "put", "sources"]

NOTE = "ready scores; nothing was calibrated, so there are no decisions"
Ready = Mapping[str, Mapping[str, Any]]
"""Scores (n,) by label and set: of the ID tests, OOD and covariate-shifted sets of a run, higher = in-distribution."""


def checked(ready: Ready, members: Mapping[str, Member]) -> dict[str, dict[str, np.ndarray]]:
    """Give ready scores as float64, one for each image of each set of a run; `OutputsError` where that is not so."""
    sets = dict(_sets(members))
    for label, given in ready.items():
        if not isinstance(given, Mapping):
            raise OutputsError(f"ready: expected scores by set for {label!r}, got {type(given).__name__}")
        if unknown := [name for name in given if name not in sets]:
            raise OutputsError(
                f"ready: {label!r} has scores of the unknown set {unknown[0]!r}; {nearest(unknown[0], sets)}"
            )
        if lacking := [name for name in sets if name not in given]:
            raise OutputsError(f"ready: {label!r} has no scores of {', '.join(map(repr, lacking))}")
    made = {
        label: {name: as_scores(given[name], f"ready {label!r} of {name!r}") for name in sets}
        for label, given in ready.items()
    }
    for label, given in made.items():
        for name, scores in given.items():
            if len(scores) != len(sets[name]):
                raise OutputsError(
                    f"ready: expected {len(sets[name]):,} scores of {label!r} for {name!r}, one for each image in the "
                    f"order of its outputs, got {len(scores):,}"
                )
    return made


def put(ready: Mapping[str, Mapping[str, np.ndarray]], answers: Mapping[str, Mapping[str, Answers]]) -> None:
    """Put ready scores beside what the scorers of the run said of the same images."""
    for label, given in ready.items():
        for member, sets in answers.items():
            for key, said in sets.items():
                kind, _, name = key.partition(":")
                if kind != VAL:
                    said.scores[label] = given[name or member]


def imported(settings: Settings, sets: Sets, members: Mapping[str, Member]) -> dict[str, dict[str, np.ndarray]]:
    """Give the ready scores of the images of a run, found by their ids; `DataError` where one has none."""
    imports = Imports(settings.store or default_store())
    found: dict[str, dict[str, np.ndarray]] = {}
    for label in settings.ready:
        for name, x in _sets(members):
            arrays = imports.arrays_of(name, label, "test") or {}
            if "scores" not in arrays:
                raise DataError(f"--scores {label}: {name} is not there any more; import it again")
            ids = arrays["ids"].tolist() if "ids" in arrays else _counted(label, name, len(arrays["scores"]), sets)
            found.setdefault(label, {})[name] = arrays["scores"][_places(label, name, ids, x)]
    return found


def sources(settings: Settings) -> dict[str, dict[str, str]]:
    """Name the files that the ready scores of a run came from, by label and set."""
    imports = Imports(settings.store or default_store())
    held = {(entry.model, entry.name): entry.source for entry in imports.entries() if entry.split == "test"}
    return {label: {name: held.get((label, name), "") for name in _names(settings)} for label in settings.ready}


def _names(settings: Settings) -> tuple[str, ...]:
    return (*settings.ids, *settings.csid, *settings.ood)


def _sets(members: Mapping[str, Member]) -> Iterator[tuple[str, Outputs]]:
    """Give the sets that all scorers are shown on, each once."""
    first = next(iter(members.values()))
    yield from ((name, member.tests[name]) for name, member in members.items())
    yield from {**first.csid, **first.ood}.items()


def _counted(label: str, name: str, count: int, sets: Sets) -> list[str]:
    """Name the images of scores without ids as those of a set without ids are named: by their place."""
    nameless = isinstance(sets, ImportedSets) and "ids" not in sets.arrays(name, "test")
    entry = sets.imports.find(name, sets.label, "test") if isinstance(sets, ImportedSets) else None
    images = 0 if entry is None else entry.rows
    if not nameless or images != count:
        why = f"and there are {count:,} for {images:,} images" if nameless else "and the images have some"
        raise DataError(
            f"--scores {label}: its scores of {name} have no ids, {why}, so that nothing tells which image each is of; "
            f"import them with ids (oodkit score msp --id {name} prints those of the images)"
        )
    return [f"{name}/test/{place}" for place in range(count)]


def _places(label: str, name: str, ids: list[str], x: Outputs) -> list[int]:
    places = {identity: place for place, identity in enumerate(ids)}
    if len(places) < len(ids):
        twice = next(identity for place, identity in enumerate(ids) if places[identity] != place)
        raise DataError(f"--scores {label}: {name}: the image {twice} has several scores; import one of each")
    wanted = [] if x.ids is None else x.ids.tolist()
    if lacking := [identity for identity in wanted if identity not in places]:
        raise DataError(
            f"--scores {label}: no score of {len(lacking):,} of the {len(wanted):,} images of {name}, such as "
            f"{lacking[0]} (they have ids such as {ids[0]}); import scores of the same images under the same ids"
        )
    return [places[identity] for identity in wanted]
