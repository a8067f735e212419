"""`choose`: which model answers for named sets; known before torch is imported, so that a refusal comes at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ood_toolkit.api.dataset import DataSet
from ood_toolkit.api.registry import Registry
from ood_toolkit.api.spec import nearest
from ood_toolkit.data.by_path import free_dataset
from ood_toolkit.data.subsets import part_of
from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.models.names import Choice, find_model
from ood_toolkit.store.encodings import models_holding
from ood_toolkit.store.imports import Imports

__all__ = ["Find", "Imported", "choose", "find_dataset", "finder"]

EMBEDDED_MODEL = "digits-clip"
Find = Callable[[str], DataSet | None]


@dataclass(frozen=True)
class Imported:
    """The label of imported arrays, in the place of a model."""

    label: str


def finder(registry: Registry, *, download: bool = False) -> Find:
    """Make a function that finds data sets by name, each once in a run."""
    return cache(lambda name: find_dataset(registry, name, download=download))


def find_dataset(registry: Registry, name: str, *, download: bool = False) -> DataSet | None:
    """Give the data set of a name, of a part of one, or of a place such as `folder:PATH`; None if there is none."""
    if name.startswith("hf:") and not download:
        for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):  # that library downloads unasked
            os.environ.setdefault(variable, "1")
    if name in registry.names("datasets") or name in registry.disabled("datasets"):
        dataset: DataSet = registry.get("datasets", name)
        return dataset
    part = part_of(name, lambda whole: find_dataset(registry, whole, download=download))
    return part or free_dataset(name)


def choose(
    registry: Registry,
    store: Path,
    model: str | None,
    names: Sequence[str],
    find: Find | None = None,
    splits: Sequence[str] = ("test",),
    beside: Collection[str] = (),
    **defaults: Any,
) -> Choice | Imported:
    """Choose what answers for these sets, which `find` knows by name, and check that it can be loaded.

    Without a model: the one under which the store holds all of them, else `digits-clip` if all are embedded. Imported
    sets count as here where they have one of the `splits`; labels that stand `beside` the model are none.
    """
    imports, find = Imports(store), find or finder(registry)
    if model is None:
        model = _only_choice(registry, imports, names, find, splits, beside)
    if model in imports.models_of(names, splits):
        return Imported(model)
    imports.check(names, model)
    labels = {entry.model for entry in imports.entries()}
    try:
        choice = find_model(model, registry, **defaults)
    except ModelError:
        if model in labels:
            raise DataError(_absent(registry, imports, names, model, find, splits)) from None
        if (close := nearest(model, labels)).startswith("did you mean"):
            raise ModelError(f"unknown model {model!r}; {close}") from None
        raise
    if any(find(name) is None for name in names):
        raise DataError(_absent(registry, imports, names, model, find, splits))
    choice.check()
    return choice


def _only_choice(
    registry: Registry,
    imports: Imports,
    names: Sequence[str],
    find: Find,
    splits: Sequence[str],
    beside: Collection[str],
) -> str:
    """Give the one model that can answer for all sets, or say which could be named."""
    imports.check(names)
    held = sorted({*imports.models_of(names, splits), *models_holding(imports.folder, names)} - set(beside))
    if len(held) > 1:  # ready scores alone answer nothing that is asked of a model
        held = [label for label in held if label not in imports.scored_only(names)] or held
    if len(held) == 1:
        return held[0]
    sets = {name: find(name) for name in names}
    if all(found is not None and found.embedded for found in sets.values()):
        return EMBEDDED_MODEL
    if held:
        raise DataError(
            f"the store holds {', '.join(names)} of several models; name one with --model: {', '.join(held)}"
        )
    if all(found is not None for found in sets.values()):
        raise DataError(
            f"no model was named, and the store holds {', '.join(names)} of none: pass --model, such as "
            f"{EMBEDDED_MODEL}, ViT-B-32/laion2b_s34b_b79k, ViT-B-32/FILE or local-dir:PATH (oodkit models lists them)"
        )
    here = {e.name for e in imports.entries() if e.split in splits} | {n for n, found in sets.items() if found}
    if all(name in here for name in names):
        homes = [f"{name} is held of {_home(name, imports)}" for name in names]
        raise DataError(f"no one model has all of these sets: {'; '.join(homes)}; import them under one --model")
    raise DataError(_absent(registry, imports, names, None, find, splits))


def _home(name: str, imports: Imports) -> str:
    """Name the models that a set is held of; a set with pictures is any model's."""
    labels = {e.model for e in imports.entries() if e.name == name}
    return ", ".join(sorted(labels - imports.scored_only([name]) or labels)) or "any model that encodes"


def _held(imports: Imports, splits: Sequence[str]) -> list[str]:
    """List the imported sets, and which splits those have that have none of the ones asked for."""
    found: dict[tuple[str, str], set[str]] = {}
    for entry in imports.entries():
        found.setdefault((entry.name, entry.model), set()).add(entry.split)
    return [
        f"{name} ({model}{'' if here & set(splits) else f', no {splits[0]} split'})"
        for (name, model), here in sorted(found.items())
    ]


def _absent(
    registry: Registry, imports: Imports, names: Sequence[str], label: str | None, find: Find, splits: Sequence[str]
) -> str:
    """Say in one message what is missing, where it belongs, and the command that brings it."""
    of_label = {e.name for e in imports.entries() if label in (None, e.model) and e.split in splits}
    labels = {e.model for e in imports.entries()}
    absent = [name for name in names if name not in of_label and (label in labels or not find(name))]
    pictured = [name for name in absent if find(name)]
    under = f" --model {label}" if label is not None and label not in ("imported", EMBEDDED_MODEL) else ""
    embedded = [name for name in registry.names("datasets") if registry.get("datasets", name).embedded]
    known = ({e.name for e in imports.entries()} | set(registry.names("datasets"))) - set(names)
    said = ", ".join(name if name in pictured else _with_hint(name, known) for name in absent)
    lines = [f"not here{f' of {label}' if pictured else ''}: {said}."]
    if pictured:
        own = ", ".join(dict.fromkeys(e.name for e in imports.entries() if e.model == label and e.split in splits))
        lines.append(
            f"{', '.join(pictured)}: pictures, and {label} is a label of imported arrays, which encodes none. Leave "
            f"--model out, or name a model that encodes{f', or sets of {label}: {own}' if own else ''}."
        )
    lines.append(f"To bring arrays into the store {imports.folder}:")
    lines += [f"oodkit import {_named(name)} [--text TEXT.npz]{under}" for name in absent]
    lines.append("(keys: embeddings | features | logits, labels, classes); or name pictures: folder:PATH.")
    held = [*_held(imports, splits), *embedded]
    lines.append(f"Here: {', '.join(held) or 'nothing'}; oodkit datasets lists all that can be had")
    return "\n  ".join(lines)


def _named(name: str) -> str:
    """Give name and file for an import; where a file stands in the place of a name, a name for it."""
    return f"{Path(name).stem} {name}" if Path(name).is_file() else f"{name} FILE.npz"


def _with_hint(name: str, known: Collection[str]) -> str:
    """Name a set that is not known, with the folder or the set that may be meant."""
    hints = [f"did you mean 'folder:{name}'?"] if Path(name).is_dir() else []
    hints += [hint for hint in [nearest(name, known)] if hint.startswith("did you mean")]
    return f"{name} ({' '.join(hints)})" if hints else name
