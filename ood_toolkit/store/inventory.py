"""What a store holds, whether it is whole, and what of it nobody needs any more."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.encodings import Index, about_encoder, encodings
from ood_toolkit.store.hashes import Memory, sha256_of
from ood_toolkit.store.imports import Imports, is_whole
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.ownership import check_store, leftovers, own_arrays, own_encoding
from ood_toolkit.store.shard import KEY_BYTES, Shard, open_shard
from ood_toolkit.store.texts import Texts

__all__ = ["Held", "damaged", "garbage", "held", "listed", "remove"]

ABANDONED = 3600
"""Seconds after which a file that nothing refers to is taken for one of a killed run, not of one that is running."""


@dataclass(frozen=True, eq=False)
class Held:
    """What a store has of one encoder."""

    key: str
    about: dict[str, Any]
    """What `encoder.json` says: identity, model, batch, device, versions."""
    images: int
    bytes: int
    shards: int
    sets: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of each split that was listed: how many of its images are here, and how many it has."""


def held(store: Path) -> list[Held]:
    """List what a store has of each encoder, by model and kind of output."""
    listings = listed(store)
    found = []
    for folder in encodings(store):
        paths = _shards(folder)
        index = Index.of([Shard(path, keys, keys) for path in paths if len(keys := _opened(path))])
        sets = {}
        for listing in listings:
            here = int((index.find(listing.keys) >= 0).sum())
            if here:
                sets[f"{listing.name}/{listing.split}"] = (here, len(listing.keys))
        size = sum(path.stat().st_size for path in paths)
        found.append(Held(folder.name, about_encoder(folder), len(index.keys), size, len(paths), sets))
    return sorted(found, key=lambda one: (str(one.about["model"]), one.about["identity"]["kind"], one.key))


def listed(store: Path) -> list[Listing]:
    """Read the listings of all sets."""
    listings = Listings(store)
    found = [listings.read(name, split) for name, split in listings.names()]
    return [listing for listing in found if listing is not None]


def damaged(store: Path) -> Iterator[tuple[Path, str]]:
    """Read every file of a store and give those that are damaged, each with what is wrong."""
    for folder in encodings(store):
        try:
            about_encoder(folder)
        except StoreError as error:
            yield folder / "encoder.json", str(error)
        for path in _shards(folder):
            if not _is_whole_shard(store, path):
                yield path, "its bytes are not those it is named after; the next run encodes its images again"
    for path in Texts(store).damaged():
        yield path, "its checksum does not fit; the next run encodes these texts again"
    listings = Listings(store)
    for name, split in listings.names():
        try:
            listings.read(name, split)
        except StoreError as error:
            yield listings.path(name, split), str(error)
    for entry in Imports(store).entries():
        folder = store / "arrays" / entry.key
        if not is_whole(folder, entry.key):
            yield folder, f"the arrays of {entry.name} ({entry.split}) of {entry.model} have changed; import them again"


def garbage(store: Path, model: str | None = None) -> Iterator[tuple[Path, str]]:
    """Give what nothing refers to any more: rows of no listed set, arrays without a name, leftovers of killed runs.

    With a model, all that was encoded by it as well. Only what this program wrote is given; `StoreError` for a folder
    that is no store.
    """
    check_store(store)
    keys = np.concatenate([np.empty((0, KEY_BYTES), np.uint8), *[one.keys for one in listed(store)]])
    wanted = Index.of([Shard(store, keys, keys)])
    for folder in encodings(store):
        if model is not None and about_encoder(folder)["model"] == model:
            yield from ((path, f"encoded by {model}") for path in own_encoding(folder))
            continue
        lost = [path for path in _own_shards(folder) if _is_old(path) and not (wanted.find(_opened(path)) >= 0).any()]
        for path in lost:
            yield path, "no listed set has an image of it"
    if model is not None:
        yield from _texts_of(store, model)
    named = {entry.key for entry in Imports(store).entries()}
    for folder in own_arrays(store):
        if folder.name not in named:
            yield folder, "no name points at these arrays"
    for path in leftovers(store):
        if _is_old(path):
            yield path, "left by a run that was killed"


def _texts_of(store: Path, model: str) -> Iterator[tuple[Path, str]]:
    """Give the text embeddings of a model's weights."""
    abouts = [about_encoder(folder) for folder in encodings(store)]
    weights = {about["identity"]["weights"] for about in abouts if about["model"] == model}
    for path in sorted((store / "texts").glob("*.json")):
        if json.loads(path.read_text()).get("weights") in weights:
            yield path.with_suffix(".texts"), f"texts of {model}"
            yield path, f"texts of {model}"


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > ABANDONED


def remove(path: Path) -> None:
    """Delete a file or folder of the store, and the folder of an encoder that is empty then."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    path.unlink(missing_ok=True)
    if path.suffix == ".safetensors" or path.name == "encoder.json":
        _remove_empty(path.parent)


def _remove_empty(folder: Path) -> None:
    """Delete a folder of an encoder that holds nothing any more, and the one around it if that is so too."""
    while folder.name != "encodings" and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _shards(folder: Path) -> list[Path]:
    return sorted((folder / "shards").glob("*.safetensors"))


def _own_shards(folder: Path) -> list[Path]:
    return [path for path in own_encoding(folder) if path.parent.name == "shards"]


def _is_whole_shard(store: Path, path: Path) -> bool:
    """Tell whether a shard is one and has the bytes it is named after; have the next run know what no stamp shows."""
    try:
        open_shard(path)
        digest = sha256_of(path)
    except (StoreError, OSError):
        return False
    if digest.hex() != path.stem:
        memory = Memory(store)
        memory.sha256(path, again=True)
        memory.close()
    return digest.hex() == path.stem


def _opened(path: Path) -> np.ndarray:
    try:
        shard: Shard = open_shard(path)
    except StoreError:
        return np.empty((0, KEY_BYTES), np.uint8)
    return shard.keys
