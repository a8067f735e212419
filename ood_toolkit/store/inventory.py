"""What a store holds of each encoder, and of which sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.encodings import Index, about_encoder, encodings
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.ownership import own_encoding
from ood_toolkit.store.shard import KEY_BYTES, Shard, open_shard

__all__ = ["Held", "held", "listed"]


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
    """List what a store has of each encoder, by model and kind of output; damaged ones are passed over."""
    listings = listed(store)
    found = []
    for folder in encodings(store):
        try:
            about = about_encoder(folder)
        except StoreError:
            continue
        paths = _shards(folder)
        index = Index.of([Shard(path, keys, keys) for path in paths if len(keys := _opened(path))])
        sets = {}
        for listing in listings:
            here = int((index.find(listing.keys) >= 0).sum())
            if here:
                sets[f"{listing.name}/{listing.split}"] = (here, len(listing.keys))
        size = sum(path.stat().st_size for path in paths if path.exists())
        found.append(Held(folder.name, about, len(index.keys), size, len(paths), sets))
    return sorted(found, key=lambda one: (str(one.about["model"]), one.about["identity"]["kind"], one.key))


def listed(store: Path) -> list[Listing]:
    """Read the listings of all sets; damaged ones are passed over."""
    listings, found = Listings(store), []
    for name, split in listings.names():
        try:
            found.append(listings.read(name, split))
        except StoreError:
            continue
    return [listing for listing in found if listing is not None]


def _shards(folder: Path) -> list[Path]:
    return [path for path in own_encoding(folder) if path.parent.name == "shards"]


def _opened(path: Path) -> np.ndarray:
    try:
        shard: Shard = open_shard(path)
    except StoreError:
        return np.empty((0, KEY_BYTES), np.uint8)
    return shard.keys
