"""What a run needs and whether it is here: weights and data sets, looked for before anything is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ood_toolkit.api.registry import Registry
from ood_toolkit.api.spec import nearest
from ood_toolkit.benchmark.opening import chosen
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.data.root import default_data_root
from ood_toolkit.encode.choice import EMBEDDED_MODEL, Find, Imported, finder
from ood_toolkit.encode.drawn import drawing
from ood_toolkit.errors import DataError, ModelError, OodkitError
from ood_toolkit.models.names import find_model
from ood_toolkit.store.files import default_store
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.listings import Listings

__all__ = ["Needed", "check_here", "check_ready", "looked_for"]

UNKNOWN = "no data set of that name; oodkit datasets lists them"


@dataclass(frozen=True)
class Needed:
    """One thing that a run needs."""

    kind: str
    """`model` or `data set`."""
    name: str
    here: bool
    note: str
    """How many images are here and where, or what is missing and how to get it."""

    def flat(self) -> dict[str, Any]:
        """Give it as a row of a listing."""
        return {"name": self.name, "what": self.kind, "here": "yes" if self.here else "no", "note": self.note}


def looked_for(
    settings: Settings, registry: Registry, suggested: Sequence[str] = (), *, counted: bool = True
) -> list[Needed]:
    """Look for the models of a run, or those suggested where it names none, and for all its data sets.

    Nothing is downloaded, no picture is decoded, and torch is not imported. Unless `counted`, no set is drawn either.
    """
    find = finder(registry)
    names = list(dict.fromkeys([*settings.ids, *settings.csid, *settings.tune, *settings.ood]))
    models = settings.models or _known(settings, names, find, suggested)
    found = [_model(model, settings, registry) for model in models]
    labels = {entry.model for entry in Imports(_store(settings)).entries()}
    found += [_data(name, settings, find, labels & set(settings.models), counted) for name in names]
    return [*found, *(_ready(label, settings) for label in settings.ready)]


def _store(settings: Settings) -> Path:
    return settings.store or default_store()


def _known(settings: Settings, names: Sequence[str], find: Find, suggested: Sequence[str]) -> Sequence[str]:
    """Give the model that needs no name: that of the store, or the embedded one; else those suggested."""
    imports = Imports(_store(settings))
    if held := [model for model in imports.models_of(names) if model not in settings.ready]:
        return held[:1]
    sets = [find(name) for name in names]
    return [EMBEDDED_MODEL] if all(one is not None and one.embedded for one in sets) else suggested


def _model(model: str, settings: Settings, registry: Registry) -> Needed:
    """Look for the weights of a model."""
    if any(entry.model == model for entry in Imports(_store(settings)).entries()):
        return Needed("model", model, True, "the label of imported arrays")
    try:
        find_model(model, registry, precision=settings.precision).check()
    except ModelError as error:
        return Needed("model", model, False, str(error))
    return Needed("model", model, True, "its weights are here")


def _data(name: str, settings: Settings, find: Find, labels: set[str], counted: bool) -> Needed:
    """Look for the test images of a data set."""
    imports = Imports(_store(settings))
    for entry in imports.entries():
        named = entry.model in labels if settings.models else entry.model not in settings.ready
        if entry.name == name and entry.split == "test" and named:
            return Needed("data set", name, True, f"{entry.rows:,} images, imported arrays of {entry.model}")
    dataset = find(name)
    if dataset is None:
        return Needed("data set", name, False, f"{name}: {UNKNOWN}")
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
        return Needed("data set", name, False, missing)
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
        return Needed("ready scores", label, True, ", ".join(f"{name} {held[name]:,}" for name in names))
    lacking = [name for name in names if name not in held]
    known = {entry.model for entry in entries}
    hint = "" if label in known else f" ({nearest(label, known)})"
    said = (
        f"no ready scores of {', '.join(lacking)} under this label{hint}; "
        f"bring them with oodkit import {lacking[0]} FILE.npz --scores --model {label}"
    )
    return Needed("ready scores", label, False, said)


def check_here(settings: Settings, registry: Registry, suggested: Sequence[str] | None = None) -> None:
    """Refuse a run whose model or data are not here; `DataError` or `ModelError`.

    `suggested` are the models of a preset; the one message then names its weights and all its data sets. A run that
    may download, or whose sets were imported, passes.
    """
    if settings.download:
        return
    trouble: OodkitError | None = None
    try:
        if isinstance(chosen(settings, registry), Imported):
            return
    except (ModelError, DataError) as error:
        trouble = error
    if trouble is not None and suggested is None:
        raise trouble
    needed = looked_for(settings, registry, suggested or (), counted=False)
    missing = [one for one in needed if not one.here]
    if trouble is None and missing:
        raise DataError("\n  ".join(one.note for one in missing))
    if trouble is None:
        return
    if len(missing) < 2 or any(one.note.endswith(UNKNOWN) for one in missing):
        raise trouble
    lines = [f"{one.kind} {one.name}: {one.note.removeprefix(f'{one.name}: ')}" for one in missing]
    if not settings.models and suggested:
        lines.insert(0, f"no model was named: pass --model; published values are of {', '.join(suggested)}")
    elif not any(one.kind == "model" for one in needed):
        lines.insert(0, str(trouble))
    head = f"{len(missing)} of the {len(needed)} things that this run needs are not here"
    raise DataError("\n  ".join([head, *lines]))
