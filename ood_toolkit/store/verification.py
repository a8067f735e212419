"""Whether everything in a store is whole, and of this program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ood_toolkit.errors import StoreError
from ood_toolkit.store.arrays import forget, is_whole
from ood_toolkit.store.cards import Cards
from ood_toolkit.store.encodings import about_encoder, encodings
from ood_toolkit.store.hashes import Memory, hash_of
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.listings import Listings
from ood_toolkit.store.marker import MARKER
from ood_toolkit.store.marker import is_whole as is_marked
from ood_toolkit.store.negatives import Negatives
from ood_toolkit.store.ownership import own_files
from ood_toolkit.store.shard import open_shard
from ood_toolkit.store.texts import Texts

__all__ = ["damaged"]


def damaged(store: Path) -> Iterator[tuple[Path, str]]:
    """Read every file of a store and give those that are damaged, each with what is wrong."""
    if not is_marked(store):
        yield store / MARKER, "does not say the format of the store; delete it, and the next run writes it"
    for folder in encodings(store):
        try:
            about_encoder(folder)
        except StoreError as error:
            yield folder / "encoder.json", str(error)
    for path in own_files(store, "encodings/*/shards/*"):
        if not _is_whole_shard(store, path):
            yield path, "its bytes are not those it is named after; the next run encodes its images again"
    for path in Texts(store).damaged():
        yield path, "its content is not what was written; the next run encodes these texts again"
    for path in Cards(store).damaged():
        yield path, "its content is not what was written; the next run loads its model and writes it again"
    for path in Negatives(store).damaged():
        yield path, "holds no list of negatives; delete it"
    listings = Listings(store)
    for name, split in listings.names():
        try:
            listings.read(name, split)
        except StoreError as error:
            yield listings.path(name, split), str(error)
    yield from _damaged_imports(store)


def _damaged_imports(store: Path) -> Iterator[tuple[Path, str]]:
    imports = Imports(store)
    yield from imports.damaged()
    for entry in imports.entries():
        folder = store / "arrays" / entry.key
        if not is_whole(folder, entry.key):
            if folder.is_dir():
                forget(store, entry.key)  # the next run is to know what no stamp shows
            yield folder, f"the arrays of {entry.name} ({entry.split}) of {entry.model} have changed; import them again"


def _is_whole_shard(store: Path, path: Path) -> bool:
    """Tell whether a shard is one and has the bytes it is named after; have the next run know what no stamp shows."""
    try:
        open_shard(path)
        digest = hash_of(path)
    except (StoreError, OSError):
        return False
    if digest.hex() != path.stem:
        memory = Memory(store)
        memory.sha256(path, again=True)
        memory.close()
    return digest.hex() == path.stem
