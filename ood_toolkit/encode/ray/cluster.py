"""`encode_on_ray`: a split through a model on a Ray cluster, into the same store and to the same bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import Picture
from ood_toolkit.encode.images import Encoded, Job, Progress, recorded, run_job
from ood_toolkit.encode.options import SHARD, Effort
from ood_toolkit.encode.ray.exchange import Exchange
from ood_toolkit.encode.ray.pipeline import Lost, results, shipped
from ood_toolkit.encode.ray.worker import Assignment, Done, Setup
from ood_toolkit.errors import DataError, ModelError, StoreError
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.encodings import Encoding
from ood_toolkit.store.hashes import Memory
from ood_toolkit.store.shard import KEY_BYTES

__all__ = ["encode_on_ray"]

WAVE = 4096
"""Ranges that are handed out at a time; the store is looked at again between two waves."""
TRIES = 3
"""Waves in a row that may come to nothing, because workers died, before it is given up."""


def encode_on_ray(
    model: Model,
    pictures: Pictures,
    store: Path,
    kinds: Sequence[str] = ("features",),
    head: Head | None = None,
    effort: Effort | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Give what the model makes of each picture, encoding only what the store lacks, on the machines of a cluster.

    Workers first hash the pictures; then it is decided here which range encodes which image, so that each is encoded
    once and every shard is the one that `encode_pictures` would write. Workers write shards themselves: to the store,
    if they see it under the same path, or to `effort.exchange`. A shard that is there is never made again.
    """
    told = progress or (lambda done, of: None)
    return run_job(_ClusterJob, model, pictures, store, kinds, head, effort or Effort(), told)


@dataclass(eq=False)
class _ClusterJob(Job):
    memory: Memory = field(init=False)
    head: Head | None = None
    sent: Any = None
    """Reference to the `Setup` on the cluster."""
    missing: dict[int, str] = field(default_factory=dict)
    """Rows that cannot be read, each with the reason."""
    fresh: int = 0
    exchange: Exchange | None = None
    looked: bool = False
    """Whether what the exchange has was taken over."""

    def run(self, memory: Memory, head: Head | None) -> Encoded:
        """Hand out what is to be done until there is nothing more; a wave whose workers died is planned anew."""
        self.memory, self.head = memory, head
        self.exchange = Exchange(self.effort.exchange) if self.effort.exchange else None
        idle = 0
        while tasks := self._next():
            before = self._state()
            why = self._wave(tasks[:WAVE], len(tasks))
            idle = idle + 1 if self._state() == before else 0
            if idle == TRIES:
                raise ModelError(f"--engine ray: {TRIES} attempts came to nothing: {why}; what is finished is kept")
        return self.read_back(self.missing, self.fresh)

    def _state(self) -> tuple[int, int, int]:
        return self.fresh, len(self.missing), sum(key is not None for key in self.known)

    def _next(self) -> list[Assignment]:
        """Plan what is to be hashed or, if nothing is, encoded."""
        if tasks := self._to_hash():
            return tasks
        tasks = self._to_encode()
        if tasks and self.exchange is not None and not self.looked:
            self._take_over(self.exchange)
            tasks = self._to_encode()
        return tasks

    def _to_hash(self) -> list[Assignment]:
        starts = {
            place - place % SHARD for place, key in enumerate(self.known) if key is None and place not in self.missing
        }
        return [self._task(start, {}) for start in sorted(starts)]

    def _to_encode(self) -> list[Assignment]:
        """Share out the images that the store lacks, each to the first range it is in."""
        rows = [place for place in range(len(self.known)) if place not in self.missing]
        keys = _array([self.known[place] or b"" for place in rows])
        lacking = {kind: ~encoding.has(keys) for kind, encoding in self.held.items()}
        taken = set[bytes]()
        wanted = dict[int, dict[str, set[bytes]]]()
        for at in np.flatnonzero(np.any(list(lacking.values()), axis=0)):
            place, key = rows[at], keys[at].tobytes()
            if key in taken:
                continue
            taken.add(key)
            parts = wanted.setdefault(place - place % SHARD, {kind: set() for kind in self.held})
            for kind in self.held:
                if lacking[kind][at]:
                    parts[kind].add(key)
        return [self._task(start, parts) for start, parts in sorted(wanted.items())]

    def _task(self, start: int, wanted: dict[str, set[bytes]]) -> Assignment:
        part = slice(start, start + SHARD)
        frozen = {kind: frozenset(keys) for kind, keys in wanted.items()}
        return Assignment(start, tuple(self.pictures.items[part]), tuple(self.known[part]), frozen, os.getcwd())

    def _wave(self, tasks: list[Assignment], of: int) -> str:
        """Carry tasks out; say what went wrong, if anything did."""
        encodes, why = bool(tasks[0].wanted), "the shards that workers wrote are damaged or gone"
        total = len(self.known)
        self.done = max(0, total - SHARD * of) if encodes else 0
        if encodes and self.sent is None:
            for encoding in self.held.values():
                encoding.describe(recorded(self.model, self.effort))
            self.sent = shipped(self._setup())
        try:
            for done in results(tasks, self.sent if encodes else None, self.effort):
                self._accept(done)
                if encodes:
                    self.done = min(total, self.done + SHARD)
                self.progress(self.done, total)
        except Lost as lost:
            why, self.looked = str(lost), False
        if encodes:
            self._count(tasks)
        return why

    def _accept(self, done: Done) -> None:
        """Take over what a worker says of its range."""
        for place in done.unseen:
            self._check_shared(place)
        self.refuse(done.unreadable)
        self._miss(done.unreadable)
        items = self.pictures.items
        self.memory.remember((items[place], stamp, done.keys[place]) for place, stamp in done.stamps.items())
        for place, key in done.keys.items():
            self.known[place] = key
        for kind, name in done.shards.items():
            self._receive(self.held[kind], name)

    def _miss(self, unreadable: Mapping[int, str]) -> None:
        """Note what cannot be read, with all copies of a picture whose bytes are there but are no picture."""
        self.missing.update(unreadable)
        broken = {}
        for place, why in unreadable.items():
            key = self.known[place]
            if key is not None and _hash(self.pictures.items[place]) == key:
                broken[key] = why
        for place, key in enumerate(self.known) if broken else ():
            if key in broken:
                self.missing[place] = broken[key]

    def _check_shared(self, place: int) -> None:
        """Tell a picture that only the workers cannot see from one that is broken."""
        if _hash(self.pictures.items[place]) is not None:
            raise DataError(
                f"{self.pictures.ids[place]}: can be read here but not by a worker; pictures must lie on a path that "
                "all nodes of the cluster share"
            )

    def _receive(self, encoding: Encoding, name: str) -> None:
        folder = encoding.folder / "shards"
        if self.exchange is not None:
            self._fetch(self.exchange, encoding, name)
        elif not (folder / name).exists():
            raise StoreError(
                f"{folder}: a worker wrote {name[:12]} there, but it is not there for us; put the store on a path that "
                "all nodes share, or give --share"
            )

    def _take_over(self, exchange: Exchange) -> None:
        """Fetch what an earlier run left there."""
        for encoding in self.held.values():
            here = {shard.path.name for shard in encoding.shards}
            for name in exchange.names(encoding.key):
                if name not in here:
                    self._fetch(exchange, encoding, name)
            encoding.refresh()
        self.looked = True

    def _fetch(self, exchange: Exchange, encoding: Encoding, name: str) -> None:
        """Copy a shard into the store; a damaged one is noted, and its images are encoded again."""
        if not exchange.fetch(encoding.key, name, encoding.folder / "shards"):
            encoding.damaged.append(name)

    def _count(self, tasks: list[Assignment]) -> None:
        """Look at the store again: what was asked for and is in it now went through the network."""
        for encoding in self.held.values():
            encoding.refresh()
        asked = _array(sorted({key for task in tasks for keys in task.wanted.values() for key in keys}))
        there = [encoding.has(asked) for encoding in self.held.values()]
        self.fresh += int(np.all(there, axis=0).sum())

    def _setup(self) -> Setup:
        effort = self.effort
        folders = {
            kind: (str((encoding.folder / "shards").absolute()), encoding.key) for kind, encoding in self.held.items()
        }
        return Setup(
            self.model,
            self.head,
            tuple(self.held),
            replace(effort, device=effort.device.partition(":")[0]),  # Ray shows each worker only its own GPU
            folders,
            recorded(self.model, effort)["versions"],
        )


def _hash(item: Picture) -> bytes | None:
    """Give the row key of a picture as it is seen from here; None if it cannot be read."""
    try:
        return hashlib.sha256(item.read()).digest()
    except (OSError, DataError):
        return None


def _array(keys: Sequence[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES)
