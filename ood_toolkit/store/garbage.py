"""What of a store nobody needs any more, and its deletion while others work with the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.arrays import clear
from ood_toolkit.store.cards import Cards
from ood_toolkit.store.encodings import Index, about_encoder, encodings
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.leases import Lease, leases, quiet
from ood_toolkit.store.listings import Listings
from ood_toolkit.store.locks import State
from ood_toolkit.store.marker import begin, check_store
from ood_toolkit.store.ownership import KEY, leftovers, own_arrays, own_encoding
from ood_toolkit.store.partial import START, discard, remove_dead
from ood_toolkit.store.shard import KEY_BYTES, Shard, open_shard
from ood_toolkit.store.texts import Texts

__all__ = ["Garbage", "collect", "survey"]

Reasons = dict[Path, str]


@dataclass(frozen=True)
class Garbage:
    """What could be deleted, and what stays although nothing seems to refer to it."""

    lost: Reasons = field(default_factory=dict)
    """Files and folders that nothing refers to, each with the reason."""
    kept: Reasons = field(default_factory=dict)
    """What may belong to a process that runs, or cannot be told to be lost, each with the reason."""


def survey(store: Path, model: str | None = None) -> Garbage:
    """Tell what nothing refers to: rows of no listed set, arrays without a name, leftovers of killed runs.

    With a model, all that was encoded by it as well. What a running process relies on stays. `StoreError` for a folder
    that is no store.
    """
    check_store(store)
    found = Garbage()
    lent = _lent(store, found)  # before names and listings are read: who is done since has written them
    _take_rows(store, model, lent, found)
    _take_arrays(store, lent, found)
    _take_cards(store, model, found)
    for path, state in leftovers(store):
        if state is State.DEAD:
            found.lost[path] = "left by a run that was killed"
        elif state is State.UNKNOWN:
            found.kept[path] = "being written on another machine, as far as can be told; if that is over, delete it"
    return found


def collect(store: Path, shown: Garbage, model: str | None = None) -> Iterator[Path]:
    """Delete what was shown and is still lost, and give what is gone; nobody can begin to rely on it meanwhile."""
    check_store(store)
    begin(store)
    with quiet(store):
        now = survey(store, model)
        for path in shown.lost:
            if path in now.lost:
                _remove(path)
                yield path


def _lent(store: Path, found: Garbage) -> dict[str, Lease]:
    """Give the leases that count, by what they are of; those that died are lost."""
    lent: dict[str, Lease] = {}
    for lease in leases(store):
        if lease.state is State.DEAD:
            found.lost[lease.path] = f"a lease of process {lease.process}, which is over"
            continue
        if lease.state is State.UNKNOWN:
            found.kept[lease.path] = f"a lease of {_who(lease)}, which cannot be checked from here; if that is over, " \
                                     "delete it"  # fmt: skip
        lent[lease.what] = lease
    return lent


def _who(lease: Lease) -> str:
    return f"process {lease.process} on {lease.machine.rpartition('-')[0]}"


def _take_rows(store: Path, model: str | None, lent: dict[str, Lease], found: Garbage) -> None:
    """Take the rows of encoders: all of the model's, of others the shards of which no set has an image."""
    wanted, why = _wanted(store)
    weights = set()
    for folder in encodings(store):
        try:
            about = about_encoder(folder)
        except StoreError as error:
            found.kept[folder / "encoder.json"] = str(error)
            about = {"model": None}
        of_model = model is not None and about["model"] == model
        if of_model:
            lost = {path: f"encoded by {model}" for path in own_encoding(folder) if path.is_file()}
        else:
            lost = dict.fromkeys(_unlisted(folder, wanted), "no listed set has an image of it")
        lease = lent.get(f"encodings/{folder.name}")
        if lease is not None and lost:
            found.kept[folder] = f"in use by {_who(lease)}"
        elif why is not None and not of_model:
            found.kept.update(dict.fromkeys(lost, why))
        else:
            found.lost.update(lost)
            weights |= {about["identity"]["weights"]} if of_model else set()
    found.lost.update(dict.fromkeys(Texts(store).of(weights), f"texts of {model}"))


def _wanted(store: Path) -> tuple[Index, str | None]:
    """Index the images of all listed sets; and say why that may not be all, where a listing is damaged."""
    listings, why = Listings(store), None
    keys = [np.empty((0, KEY_BYTES), np.uint8)]
    for name, split in listings.names():
        try:
            listing = listings.read(name, split)
        except StoreError:
            why = f"{listings.path(name, split).name} is damaged, and may list it; encode {name} again, or delete that"
            continue
        if listing is not None:
            keys.append(listing.keys)
    joined = np.concatenate(keys)
    return Index.of([Shard(store, joined, joined)]), why


def _unlisted(folder: Path, wanted: Index) -> Iterator[Path]:
    for path in own_encoding(folder):
        if path.parent.name == "shards":
            try:
                keys = open_shard(path).keys
            except StoreError:  # what cannot be read cannot be told to be lost; the next run mends it
                continue
            if not (wanted.find(keys) >= 0).any():
                yield path


def _take_arrays(store: Path, lent: dict[str, Lease], found: Garbage) -> None:
    """Take the imported arrays that no name points at; while a name is damaged, it may be any of them."""
    imports = Imports(store)
    damaged = next((path for path, _ in imports.damaged()), None)
    named = {entry.key for entry in imports.entries()}
    for folder in own_arrays(store):
        if folder.name in named:
            continue
        lease = lent.get(f"arrays/{folder.name}")
        if lease is not None:
            found.kept[folder] = f"in use by {_who(lease)}"
        elif damaged is not None:
            found.kept[folder] = f"{damaged.name} is damaged, and may point at it; import that again, or delete it"
        else:
            found.lost[folder] = "no name points at these arrays"


def _take_cards(store: Path, model: str | None, found: Garbage) -> None:
    """Take the cards of the model, and those that no run takes at their word; nobody relies on one for long."""
    for path, card in Cards(store).all():
        if card is None:
            found.lost[path] = "damaged; it is made anew when its model is loaded"
        elif card.model == model:
            found.lost[path] = f"what is known of {model}"
        elif card.is_stale:
            found.lost[path] = f"what was known of {card.model}, whose files have changed or are gone"


def _remove(path: Path) -> None:
    """Delete a file or folder of the store, and the folder of an encoder that is empty then."""
    if path.parent.name == "arrays" and re.fullmatch(KEY, path.name):
        clear(path)
        return
    if path.name.startswith(START):
        remove_dead(path)
    else:
        discard(path)
    if path.suffix == ".safetensors" or path.name == "encoder.json":
        _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    """Delete a folder of an encoder that holds nothing any more, and the one around it if that is so too."""
    while folder.name != "encodings" and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
