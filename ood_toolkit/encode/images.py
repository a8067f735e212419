"""A split of a data set through a model: what the store has is taken from it, the rest is encoded into it, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import DECODER, DRAFT
from ood_toolkit.encode.drawn import KnownPictures
from ood_toolkit.encode.loading import Loaded, load_batches
from ood_toolkit.encode.network import Launched, Network, one_ahead
from ood_toolkit.encode.options import SHARD, Effort
from ood_toolkit.errors import DataError, ModelError
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.encodings import Encoding
from ood_toolkit.store.hashes import Memory, Stamp
from ood_toolkit.store.listings import Listing
from ood_toolkit.store.shard import KEY_BYTES
from ood_toolkit.store.versions import version_of

__all__ = [
    "Encoded",
    "Job",
    "Range",
    "encode_pictures",
    "encode_ranges",
    "identity",
    "is_stored",
    "recorded",
    "run_job",
    "shard_part",
    "stored",
]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model gave of the readable pictures of a split."""

    outputs: Mapping[str, np.ndarray]
    """(m, ...) float32 by kind: `features` and what else was asked for."""
    rows: np.ndarray
    """(m,) int64: which pictures of the split these are."""
    keys: np.ndarray
    """(m, 32) uint8: row keys."""
    fresh: int = 0
    """How many images went through the network; the others were in the store."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Ids of the images that could not be read, each with the reason."""
    damaged: tuple[str, ...] = ()
    """Shards that were found damaged and encoded again."""


@dataclass(eq=False)
class Range:
    """What came of a range of rows that makes one shard."""

    keys: dict[int, bytes] = field(default_factory=dict)
    """Row keys by row of the split, of all that could be read."""
    encoded: list[int] = field(default_factory=list)
    """Rows that went through the network."""
    outputs: dict[str, list[np.ndarray]] = field(default_factory=dict)
    stamps: dict[int, Stamp] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)

    def add(self, batch: Sequence[Loaded], places: Sequence[int], outputs: Mapping[str, np.ndarray]) -> None:
        """Take in a batch: what was loaded, and the rows of those that went through the network."""
        for one in batch:
            if one.unreadable is not None:
                self.unreadable[one.place] = one.unreadable
                continue
            self.keys[one.place] = one.key
            if one.stamp is not None:
                self.stamps[one.place] = one.stamp
        self.encoded += places
        for kind, rows in outputs.items():
            self.outputs.setdefault(kind, []).extend(rows)


def identity(model: Model, kind: str, head: Head | None = None) -> dict[str, Any]:
    """Say all that decides the rows of one kind of output: the encoder key is the hash of it."""
    said = {
        "kind": kind,
        "weights": model.fingerprint,
        "architecture": model.architecture,
        "preprocessing": dict(model.preprocessing),
        "decoder": f"{DECODER}; JPEG draft at {DRAFT} times {model.image_size}" if model.image_size else DECODER,
        "precision": model.precision,
    }
    if kind == "local" and head is not None:
        said["texts"] = hashlib.sha256(head.weight.cpu().numpy().tobytes()).hexdigest()
    return said


def encode_pictures(
    model: Model,
    pictures: Pictures,
    store: Path,
    kinds: Sequence[str] = ("features",),
    head: Head | None = None,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Give what the model makes of each picture, encoding only what the store lacks.

    Shards are ranges of 1,024 rows and batches fixed ranges within them; what is there already, a second copy of an
    image and what cannot be read leave a gap of zeros. So what an image is encoded with never depends on history.
    """
    return run_job(Job, model, pictures, store, kinds, head, effort or Effort(), progress or (lambda done, of: None))


def run_job(
    make: type[Job],
    model: Model,
    pictures: Pictures,
    store: Path,
    kinds: Sequence[str],
    head: Head | None,
    effort: Effort,
    progress: Progress,
) -> Encoded:
    """Look up what the store knows of these pictures, and let a job encode the rest."""
    memory = Memory(store)
    try:
        held = {kind: Encoding(store, identity(model, kind, head), memory) for kind in kinds}
        for encoding in held.values():
            if encoding.shards:
                encoding.describe(recorded(model, effort))  # mends a damaged record
        known = _known(pictures, memory, again=effort.rehash)
        return make(model, pictures, held, known, effort, progress).run(memory, head)
    finally:
        memory.close()


def _known(pictures: Pictures, memory: Memory, *, again: bool) -> list[bytes | None]:
    """Give the row keys of pictures that are known without reading them; `again`: none is."""
    if again:
        return [None] * len(pictures)
    if isinstance(pictures, KnownPictures):
        return [key.tobytes() for key in pictures.keys]
    return memory.recall(pictures.items)


@dataclass(eq=False)
class Job:
    """A split on its way into the store, encoded in this process."""

    model: Model
    pictures: Pictures
    held: dict[str, Encoding]
    known: list[bytes | None]
    effort: Effort
    progress: Progress
    done: int = 0
    """Rows of the ranges that need nothing any more."""

    def run(self, memory: Memory, head: Head | None) -> Encoded:
        """Encode what the store lacks and give all of the split."""
        items, missing, fresh = self.pictures.items, dict[int, str](), 0
        pending = [start for start in range(0, len(items), SHARD) if self._needs_work(start)]
        self.done = len(items) - sum(min(SHARD, len(items) - start) for start in pending)
        for start, made in encode_ranges(
            self.model, items, pending, self.known.__getitem__, self.wanted, list(self.held), head,
            self.effort, lambda more: self.progress(self.done + more, len(items)),
        ):  # fmt: skip
            self.refuse(made.unreadable)
            self._keep(made)
            memory.remember((items[place], stamp, made.keys[place]) for place, stamp in made.stamps.items())
            for place, key in made.keys.items():
                self.known[place] = key
            missing.update(made.unreadable)
            fresh += len(made.encoded)
            self.done += min(SHARD, len(items) - start)
        return self.read_back(missing, fresh)

    def refuse(self, unreadable: Mapping[int, str]) -> None:
        """Raise `DataError` where an image could not be read and none may be skipped."""
        if self.effort.strict and unreadable:
            place = min(unreadable)
            raise DataError(f"{self.pictures.ids[place]}: {unreadable[place]}; leave out --strict to skip such images")

    def _lacks(self, kind: str, key: bytes) -> bool:
        return not self.held[kind].has(np.frombuffer(key, np.uint8)[None])[0]

    def wanted(self, key: bytes) -> bool:
        """Tell whether the store lacks some kind of output of an image."""
        return any(self._lacks(kind, key) for kind in self.held)

    def _needs_work(self, start: int) -> bool:
        part = self.known[start : start + SHARD]
        keys = [key for key in part if key is not None]
        if len(keys) < len(part):
            return True
        array = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
        return not all(encoding.has(array).all() for encoding in self.held.values())

    def _keep(self, made: Range) -> None:
        """Write a shard of each kind of output, of the rows that it lacks."""
        for kind, encoding in self.held.items():
            part = shard_part(made, kind, partial(self._lacks, kind))
            if part is not None:
                encoding.add(*part, recorded(self.model, self.effort))

    def read_back(self, missing: Mapping[int, str], fresh: int) -> Encoded:
        """Take the rows of all readable images from the store."""
        rows = np.array([place for place in range(len(self.known)) if place not in missing], dtype=np.int64)
        joined = b"".join(self.known[place] or b"" for place in rows)
        keys = np.frombuffer(joined, np.uint8).reshape(-1, KEY_BYTES)
        for encoding in self.held.values():
            if fresh:
                encoding.refresh()
        return Encoded(
            {kind: encoding.read(keys) for kind, encoding in self.held.items()},
            rows,
            keys,
            fresh,
            tuple((self.pictures.ids[place], why) for place, why in sorted(missing.items())),
            tuple(name for encoding in self.held.values() for name in encoding.damaged),
        )


def shard_part(made: Range, kind: str, lacks: Callable[[bytes], bool]) -> tuple[np.ndarray, np.ndarray] | None:
    """Give the keys (m, 32) and rows (m, ...) of a range that make the shard of one kind; None where nothing lacks."""
    new = [row for row, place in enumerate(made.encoded) if lacks(made.keys[place])]
    if not new:
        return None
    keys = np.frombuffer(b"".join(made.keys[made.encoded[row]] for row in new), np.uint8)
    return keys.reshape(-1, KEY_BYTES), np.stack([made.outputs[kind][row] for row in new])


def stored(model: Model, listing: Listing, store: Path, kinds: Sequence[str], head: Head | None = None) -> Encoded:
    """Give what the store has of the images of a listing; `StoreError` where it lacks one."""
    memory = Memory(store)
    try:
        outputs = {kind: Encoding(store, identity(model, kind, head), memory).read(listing.keys) for kind in kinds}
        return Encoded(outputs, np.arange(len(listing.ids)), listing.keys)
    finally:
        memory.close()


def is_stored(model: Model, listing: Listing, store: Path, kind: str = "features", head: Head | None = None) -> bool:
    """Tell whether the store has one kind of output of all images of a listing."""
    memory = Memory(store)
    try:
        return bool(Encoding(store, identity(model, kind, head), memory).has(listing.keys).all())
    finally:
        memory.close()


def encode_ranges(
    model: Model,
    items: Sequence[Any],
    starts: Sequence[int],
    known: Callable[[int], bytes | None],
    wanted: Callable[[bytes], bool],
    kinds: Sequence[str],
    head: Head | None,
    effort: Effort,
    progress: Callable[[int], None] = lambda more: None,
) -> Iterator[tuple[int, Range]]:
    """Encode the ranges of rows that begin at `starts`, one after the other, while later pictures are loaded.

    `known` gives the key of a row where it is known, `wanted` tells whether an image of that key is to be encoded.
    """
    size = effort.batch_size
    if SHARD % size:
        raise ModelError(f"--batch-size: expected a divisor of {SHARD}, so that no batch crosses a shard, got {size}")

    def firsts(start: int) -> range:
        return range(start, min(start + SHARD, len(items)), size)

    batches = (
        list(range(first, min(first + size, start + SHARD, len(items)))) for start in starts for first in firsts(start)
    )
    network = Network(model, kinds, head, effort)
    taken: set[bytes] = set()
    loaded = load_batches(model, items, batches, known, lambda key: key not in taken and wanted(key), effort.threads)

    def launched(start: int) -> Iterator[tuple[list[Loaded], Launched]]:
        for first in firsts(start):
            batch = next(loaded)
            yield batch, network.launch(_not_yet(batch, taken), first)

    with network:
        for start in starts:
            made = Range()
            for first, (batch, running) in zip(firsts(start), one_ahead(launched(start)), strict=True):
                made.add(batch, running.places, network.finish(running))
                progress(first + len(batch) - start)
            yield start, made


def _not_yet(batch: Sequence[Loaded], taken: set[bytes]) -> list[Loaded]:
    """Choose the pictures of a batch that are to be encoded, of copies the first, and take note of them."""
    fresh = []
    for one in batch:
        if one.tensor is not None and one.key not in taken:
            taken.add(one.key)
            fresh.append(one)
    return fresh


def recorded(model: Model, effort: Effort) -> dict[str, Any]:
    """Record what the bytes may depend on beside the key."""
    names = ("torch", "torchvision", "pillow", "numpy", "open_clip_torch", "timm", "transformers")
    return {
        "model": model.name,
        "batch": effort.batch_size,
        "device": effort.device.partition(":")[0],
        "versions": {name: found for name in names if (found := version_of(name))},
    }
