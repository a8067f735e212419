"""Names taken out of a store: imported arrays and listed sets; what nothing refers to then is garbage."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ood_toolkit.errors import StoreError
from ood_toolkit.store.garbage import Garbage
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.leases import leases, quiet
from ood_toolkit.store.listings import Listings
from ood_toolkit.store.locks import State
from ood_toolkit.store.marker import begin, check_store

__all__ = ["names_of", "removable", "remove", "unknown"]


def removable(store: Path, names: Collection[str], model: str | None = None) -> Garbage:
    """Tell which entries of the store bear these names: imported arrays of a model or of all, and, of all, listed sets.

    Each has what it stands for. What a running import is writing stays. `StoreError` for a folder that is no store.
    """
    check_store(store)
    found = Garbage()
    busy = {lease.what: lease for lease in leases(store) if lease.state is not State.DEAD}
    imports = Imports(store)
    for entry in imports.entries():
        if entry.name in names and model in (None, entry.model):
            lease = busy.get(f"arrays/{entry.key}")
            what = f"{entry.name} ({entry.split}) of model {entry.model}"
            if lease is not None:
                found.kept[imports.place(entry)] = f"{what}: in use by process {lease.process}"
            else:
                found.lost[imports.place(entry)] = f"{what}: {entry.rows:,} images imported from {entry.source}, " \
                                                   f"{entry.key[:12]}"  # fmt: skip
    for file, why in imports.damaged(names, model):
        found.lost[file] = why
    for name, split in () if model is not None else Listings(store).names():
        if name in names:
            found.lost[Listings(store).path(name, split)] = f"{name} ({split}): {_listed(store, name, split)}"
    return found


def remove(store: Path, shown: Garbage, names: Collection[str], model: str | None = None) -> Iterator[Path]:
    """Delete what was shown and is still so, and give what is gone; nobody can begin to import it meanwhile."""
    check_store(store)
    begin(store)
    with quiet(store):
        now = removable(store, names, model)
        for path, what in shown.lost.items():
            if now.lost.get(path) == what:
                path.unlink(missing_ok=True)
                yield path


def unknown(store: Path, names: Collection[str], model: str | None = None) -> list[str]:
    """List those of the names that no entry bears."""
    found = {name: removable(store, [name], model) for name in names}
    return [name for name, entries in found.items() if not entries.lost and not entries.kept]


def names_of(store: Path, model: str | None = None) -> list[str]:
    """List the names that a store has, of imported arrays of one model or of all, and, of all, of listed sets."""
    names = {entry.name for entry in Imports(store).entries() if model in (None, entry.model)}
    return sorted(names | ({name for name, _ in Listings(store).names()} if model is None else set()))


def _listed(store: Path, name: str, split: str) -> str:
    try:
        listing = Listings(store).read(name, split)
    except StoreError as error:
        return str(error)
    return f"the list of its {0 if listing is None else len(listing.ids):,} encoded images"
