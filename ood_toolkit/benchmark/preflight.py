"""What a run needs and whether it is here: weights and data sets, looked for before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ood_toolkit.api.registry import GROUPS, Registry
from ood_toolkit.api.spec import nearest, split_specs
from ood_toolkit.benchmark.opening import chosen
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.data.root import default_data_root
from ood_toolkit.encode.choice import EMBEDDED_MODEL, Find, Imported, finder
from ood_toolkit.encode.drawn import drawing
from ood_toolkit.errors import DataError, ModelError, OodkitError, SpecError
from ood_toolkit.models.names import find_model
from ood_toolkit.store.files import default_store
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.listings import Listings

__all__ = ["Needed", "all_here", "check_here", "check_ready", "check_scorer_names", "looked_for"]

READY = "ready scores"
UNKNOWN = "no data set of that name"
ENOUGH = "one of the models of published values is enough"


@dataclass(frozen=True)
class Needed:
    """One thing that a run needs."""

    kind: str
    """`model`, `data set` or `ready scores`."""
    name: str
    here: bool
    note: str
    """How many images are here and where, or what is missing and how to get it; without the name."""
    suggested: bool = False
    """Whether another one of its kind would do as well."""

    def flat(self) -> dict[str, Any]:
        """Give it as a row of a listing."""
        note = f"{self.note} ({ENOUGH})" if self.suggested else self.note
        return {"name": self.name, "what": self.kind, "here": "yes" if self.here else "no", "note": note}

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.note}"


def looked_for(
    settings: Settings, registry: Registry, suggested: Sequence[str] = (), *, counted: bool = True
) -> list[Needed]:
    """Look for the models of a run, or those suggested where it names none, and for all its data sets.

    Nothing is downloaded, no picture is decoded, and torch is not imported. Unless `counted`, no set is drawn either.
    """
    find = finder(registry)
    names = list(dict.fromkeys([*settings.ids, *settings.csid, *settings.tune, *settings.ood]))
    models = settings.models or _known(settings, names, find)
    found = [_model(model, settings, registry) for model in models]
    found += [replace(_model(model, settings, registry), suggested=True) for model in suggested if not models]
    labels = {entry.model for entry in Imports(_store(settings)).entries()}
    found += [_data(name, settings, registry, find, labels & set(settings.models), counted) for name in names]
    return [*found, *(_ready(label, settings) for label in settings.ready)]


def all_here(found: Sequence[Needed]) -> bool:
    """Tell whether all that a run needs is here; of suggested models one is enough."""
    suggested = [one.here for one in found if one.suggested]
    return all(one.here for one in found if not one.suggested) and (not suggested or any(suggested))


def _store(settings: Settings) -> Path:
    return settings.store or default_store()


def _known(settings: Settings, names: Sequence[str], find: Find) -> Sequence[str]:
    """Give the model that needs no name: that of the store, or the embedded one; none where there is none."""
    imports = Imports(_store(settings))
    if held := [model for model in imports.models_of(names) if model not in settings.ready]:
        return held[:1]
    sets = [find(name) for name in names]
    return [EMBEDDED_MODEL] if all(one is not None and one.embedded for one in sets) else []


def _model(model: str, settings: Settings, registry: Registry) -> Needed:
    """Look for the weights of a model."""
    if any(entry.model == model for entry in Imports(_store(settings)).entries()):
        return Needed("model", model, True, "the label of imported arrays")
    try:
        find_model(model, registry, precision=settings.precision).check()
    except ModelError as error:
        return Needed("model", model, False, str(error).removeprefix(f"the weights of {model}: "))
    return Needed("model", model, True, "its weights are here")


def _data(name: str, settings: Settings, registry: Registry, find: Find, labels: set[str], counted: bool) -> Needed:
    """Look for the test images of a data set."""
    imports = Imports(_store(settings))
    for entry in imports.entries():
        named = entry.model in labels if settings.models else entry.model not in settings.ready
        if entry.name == name and entry.split == "test" and named:
            return Needed("data set", name, True, f"{entry.rows:,} images, imported arrays of {entry.model}")
    dataset = find(name)
    if dataset is None:
        known = {*registry.names("datasets"), *(entry.name for entry in imports.entries())}
        return Needed("data set", name, False, f"{UNKNOWN}; {nearest(name, known, 'oodkit datasets')}")
    if drawing(dataset) is not None and "test" in dataset.counts:
        count = dataset.counts["test"]
        if count is not None or (dataset.classes and not counted):  # a part by class, whose classes are known
            note = "embedded" if count is None else f"{count:,} test images, embedded"
            return Needed("data set", name, True, note)
    try:
        pictures = dataset.open("test", settings.data_root or default_data_root())
    except DataError as error:
        return _of_the_store(name, settings, str(error))
    where = "embedded" if dataset.embedded else f"below {settings.data_root or default_data_root()}"
    return Needed("data set", name, True, f"{len(pictures):,} test images, {where}")


def _of_the_store(name: str, settings: Settings, missing: str) -> Needed:
    """Count a set whose pictures are gone as here where the store has listed it; the run says if more is wanted."""
    listing = Listings(_store(settings)).read(name, "test")
    if listing is None:
        return Needed("data set", name, False, missing.removeprefix(f"{name}: "))
    return Needed(
        "data set", name, True, f"{len(listing.keys):,} images are known to the store, their pictures are gone"
    )


def check_ready(settings: Settings) -> None:
    """Refuse labels under which not all sets of a run have ready scores in the store; no score is read."""
    for label in settings.ready:
        found = _ready(label, settings)
        if not found.here:
            raise DataError(f"--scores {label}: {found.note}")


def _ready(label: str, settings: Settings) -> Needed:
    """Look for ready scores of all sets of a run."""
    imports = Imports(_store(settings))
    entries = [entry for entry in imports.entries() if entry.split == "test" and imports.has_scores(entry)]
    held = {entry.name: entry.rows for entry in entries if entry.model == label}
    names = (*settings.ids, *settings.csid, *settings.ood)
    if all(name in held for name in names):
        return Needed(READY, label, True, ", ".join(f"{name} {held[name]:,}" for name in names))
    lacking = [name for name in names if name not in held]
    known = {entry.model for entry in entries}
    hint = "" if label in known else f" ({nearest(label, known)})"
    said = (
        f"no ready scores of {', '.join(lacking)} under this label{hint}; "
        f"bring them with oodkit import {lacking[0]} FILE.npz --scores --model {label}"
    )
    return Needed(READY, label, False, said)


def check_scorer_names(settings: Settings, registry: Registry) -> None:
    """Say of an unknown scorer that it is a label of imported arrays, if it is one; `SpecError`."""
    known = {*registry.names("scorers"), *registry.disabled("scorers"), "all", *GROUPS}
    imports = Imports(_store(settings))
    for name in split_specs(settings.scorers):
        if name in known or not (held := [entry for entry in imports.entries() if entry.model == name]):
            continue
        if any(map(imports.has_scores, held)):
            raise SpecError(f"unknown scorer {name!r}; it is a label of ready scores, which --scores {name} takes")
        raise SpecError(f"unknown scorer {name!r}; it is a label of imported arrays, which --model {name} takes")


def check_here(settings: Settings, registry: Registry, suggested: Sequence[str] = ()) -> None:
    """Refuse a run whose models or data are not here, all of it in one message; `DataError` or `ModelError`.

    `suggested` are the models of a preset. A run that may download, or whose sets were imported, passes.
    """
    if settings.download:
        return
    troubles: list[OodkitError] = []
    needed: dict[tuple[str, str], Needed] = {}
    for part in settings.each_model():
        try:
            if isinstance(chosen(part, registry), Imported):
                continue
        except (ModelError, DataError) as error:
            troubles.append(error)
        for one in looked_for(part, registry, suggested, counted=False):
            if one.kind != READY and (one.here is False or (one.kind, one.name) not in needed):
                needed[one.kind, one.name] = one
    missing = [one for one in needed.values() if not one.here and not one.suggested]
    if not missing and not troubles:
        return
    lines = [str(one) for one in missing if not one.note.startswith(UNKNOWN)]
    if any(one.note.startswith(UNKNOWN) for one in missing):  # what chose the model says how they are brought
        raise DataError("\n  ".join(dict.fromkeys([*map(str, troubles), *lines])))
    if not settings.models and troubles:
        lines = [*_no_model(needed.values(), str(troubles[0])), *lines]
    if len(lines) < 2 and troubles:
        raise troubles[0]
    whole = sum(not one.suggested for one in needed.values())
    head = f"{len(missing)} of the {whole} things that this run needs {'is' if len(missing) == 1 else 'are'} not here"
    raise DataError("\n  ".join([head, *lines] if len(lines) > 1 else lines))


def _no_model(needed: Iterable[Needed], trouble: str) -> list[str]:
    """Say that no model was named, and which could be."""
    models = [one for one in needed if one.kind == "model"]
    if not any(one.suggested for one in models):
        return [] if models else [trouble]
    return [f"no model was named: pass --model; {ENOUGH}", *(f"  {one}" for one in models)]
