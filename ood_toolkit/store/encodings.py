"""`Encoding`: all rows that one encoder has given, each found by the hash of the picture it is of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import read_bytes, reason
from ood_toolkit.store.foreign.objects import LARGEST
from ood_toolkit.store.hashes import Memory, Whole, stamp_of
from ood_toolkit.store.leases import keep
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.ownership import own_encoding, own_files
from ood_toolkit.store.room import room_in
from ood_toolkit.store.shard import KEY_BYTES, Shard, open_shard, write_shard

__all__ = ["Encoding", "Index", "about_encoder", "encodings", "models_holding"]

FORMAT = 1
IN_MEMORY = 256 << 20
"""Bytes of rows up to which they are gathered in memory; more go to an unnamed file that is mapped."""


@dataclass(frozen=True, eq=False)
class Index:
    """Where each row lies: sorted by the first eight bytes of its key."""

    heads: np.ndarray
    """(m,) uint64 in rising order."""
    keys: np.ndarray
    """(m, 32) uint8."""
    places: np.ndarray
    """(m, 2) int64: shard and row."""

    @classmethod
    def of(cls, shards: Iterable[Shard]) -> Index:
        """Index the rows of shards; of a key that several have, the first."""
        shards = list(shards)
        keys = np.concatenate([np.empty((0, KEY_BYTES), np.uint8), *[shard.keys for shard in shards]])
        counts = [len(shard.keys) for shard in shards]
        places = np.stack([np.repeat(np.arange(len(counts)), counts), _within(counts)], axis=1)
        order = np.argsort(_heads(keys), kind="stable")
        return cls(_heads(keys)[order], keys[order], places[order])

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Give the place (n,) of each key (n, 32) in this index, -1 for one that is not here."""
        wanted = _heads(keys)
        found = np.searchsorted(self.heads, wanted)
        inside = np.minimum(found, max(len(self.heads) - 1, 0))
        if not len(self.heads):
            return np.full(len(keys), -1)
        right = (self.keys[inside] == keys).all(axis=1)
        for row in np.flatnonzero(~right & (self.heads[inside] == wanted)):  # the same eight bytes, another key
            later = inside[row]
            while later < len(self.heads) and self.heads[later] == wanted[row]:
                if (self.keys[later] == keys[row]).all():
                    inside[row], right[row] = later, True
                    break
                later += 1
        return np.where(right, inside, -1)


class Encoding:
    """The rows that one encoder gave, in a folder of shards.

    `identity` is all that decides the rows: weights, architecture, preprocessing, decoder, precision, kind of output.
    """

    def __init__(self, store: Path, identity: Mapping[str, Any], memory: Memory, *, mends: bool = True) -> None:
        self.mends = mends
        text = json.dumps({"format": FORMAT, **identity}, sort_keys=True)
        self.identity: dict[str, Any] = json.loads(text)
        self.key = hashlib.sha256(text.encode()).hexdigest()
        self.folder = store / "encodings" / self.key
        self.memory = memory
        self.damaged: list[str] = []
        """Names of shards that were found damaged and are encoded again."""
        if mends:  # who only looks does not rely on it
            keep(store, f"encodings/{self.key}")
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder again: other processes write to it too."""
        self.shards = [shard for path in self._paths() if (shard := self._sound(path)) is not None]
        self.index = Index.of(self.shards)

    def _paths(self) -> list[Path]:
        return [path for path in own_encoding(self.folder) if path.parent.name == "shards"]

    def _sound(self, path: Path) -> Shard | None:
        """Open a shard whose bytes are those it is named after; take a damaged one out of the way."""
        try:
            if self.memory.sha256(path).hex() == path.stem:
                return open_shard(path)
        except FileNotFoundError:  # another process has just taken it away
            return None
        except PermissionError:
            raise StoreError(f"{path}: may not be read by this user") from None
        except (StoreError, OSError):
            if not path.exists():
                return None
        self.damaged.append(path.name)
        if self.mends and path.is_dir():
            shutil.rmtree(path)
        elif self.mends:
            path.unlink(missing_ok=True)
        return None

    def has(self, keys: np.ndarray) -> np.ndarray:
        """Tell which keys (n, 32) have a row."""
        return self.index.find(keys) >= 0

    def add(self, keys: np.ndarray, rows: np.ndarray, about: Mapping[str, Any]) -> None:
        """Write rows (m, ...) with their keys as one shard; `about` records versions when the folder is new."""
        self.describe(about)
        path = write_shard(self.folder / "shards", keys, rows)
        if (stamp := stamp_of(path)) is not None:
            self.memory.remember([(Whole(path), stamp, bytes.fromhex(path.stem))])

    def describe(self, about: Mapping[str, Any]) -> None:
        """Say what a new folder is of, before there is a shard in it, and again where what it said is damaged."""
        facts = self.folder / "encoder.json"
        if not _is_described(self.folder):
            with replaced_file(facts) as partial:
                partial.write_text(json.dumps({"identity": self.identity, **about}, indent=1) + "\n")

    def read(self, keys: np.ndarray) -> np.ndarray:
        """Gather the rows (n, ...) of keys (n, 32); large ones in an unnamed mapped file instead of memory."""
        found = self.index.find(keys)
        if len(found) and found.min() < 0:
            raise StoreError(f"{int((found < 0).sum())} of {len(found)} rows are not in the store; encode them first")
        if not len(found):
            return np.empty((0, *(self.shards[0].rows.shape[1:] if self.shards else (0,))), np.float32)
        places = self.index.places[found]
        out = _room((len(found), *self.shards[places[0, 0]].rows.shape[1:]), self.folder)
        order = np.argsort(places[:, 0], kind="stable")
        ends = np.flatnonzero(np.diff(places[order, 0])) + 1
        for part in np.split(order, ends):
            shard = self.shards[places[part[0], 0]]
            if shard.rows.shape[1:] != out.shape[1:]:
                raise StoreError(
                    f"{shard.path}: expected rows {out.shape[1:]} as in other shards, got {shard.rows.shape[1:]}; "
                    "delete it and encode again"
                )
            out[part] = shard.rows[places[part, 1]]
        return out


def encodings(store: Path) -> list[Path]:
    """List the folders of all encoders that a store has rows of."""
    return [path.parent for path in own_files(store, "encodings/*/*")]


def _room(shape: tuple[int, ...], folder: Path) -> np.ndarray:
    size = 4 * int(np.prod(shape, dtype=object))
    if size <= IN_MEMORY:
        return np.empty(shape, np.float32)
    with room_in(folder), tempfile.TemporaryFile(dir=folder) as file:  # it is gone when nobody maps it any more
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk shows here, not when the map is written
        file.truncate(size)
        return np.memmap(file, np.float32, mode="r+", shape=shape)


def _within(counts: list[int]) -> np.ndarray:
    return np.concatenate([np.arange(0), *[np.arange(count) for count in counts]])


def _heads(keys: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(keys[:, :8]).view(">u8").reshape(-1).astype(np.uint64)


def models_holding(store: Path, names: Iterable[str]) -> list[str]:
    """List the models by name whose features of every image of these sets' test splits are in the store."""
    listings = [_listing(store, name) for name in names]
    if not listings or any(listing is None for listing in listings):
        return []
    found, memory = set(), Memory(store)
    try:
        for folder in encodings(store):
            try:
                about = about_encoder(folder)
            except StoreError:  # one that is damaged stops nobody who does not name its model
                continue
            if about["identity"]["kind"] != "features":
                continue
            identity = {key: value for key, value in about["identity"].items() if key != "format"}
            encoding = Encoding(store, identity, memory, mends=False)  # a run that encodes says what it mends
            whole = all(encoding.has(listing.keys).all() for listing in listings if listing is not None)
            if whole or encoding.damaged:  # what is damaged is encoded again by the run
                found.add(str(about["model"]))
    finally:
        memory.close()
    return sorted(found)


def _listing(store: Path, name: str) -> Listing | None:
    try:
        return Listings(store).read(name, "test")
    except StoreError:  # a damaged one is written anew when the set is encoded
        return None


def about_encoder(folder: Path) -> dict[str, Any]:
    """Read what an encoder's folder is of: `identity`, `model`, `batch`, `device`, `versions`."""
    path = folder / "encoder.json"
    try:
        about = json.loads(read_bytes(path, LARGEST))
        if about["identity"]["kind"] and about["model"]:
            return dict(about)
        raise ValueError("no model")
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{path}: damaged ({reason(error)}); the next run that encodes with this model mends it"
        ) from None


def _is_described(folder: Path) -> bool:
    try:
        about_encoder(folder)
    except StoreError:
        return False
    return True
