"""`Worker`: what runs on the machines of a cluster, one range of rows after the other.

What encodes is imported where it is called: a process that only hashes is up without torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from ood_toolkit.api.model import Model
from ood_toolkit.api.picture import Picture
from ood_toolkit.encode.loading import load_batches
from ood_toolkit.encode.options import Effort
from ood_toolkit.encode.ray.exchange import Exchange
from ood_toolkit.errors import DataError, ModelError, OodkitError, one_line
from ood_toolkit.store.hashes import Stamp
from ood_toolkit.store.shard import shard_bytes, write_shard

if TYPE_CHECKING:
    from ood_toolkit.outputs.head import Head

__all__ = ["Assignment", "Done", "Setup", "Worker", "encode", "hashed", "look"]

READERS = 4
"""Threads in which one core reads and hashes pictures."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What all tasks have in common, sent to each worker once."""

    model: Model
    head: Head | None
    kinds: tuple[str, ...]
    effort: Effort
    folders: Mapping[str, tuple[str, str]]
    """By kind of output: the folder of its shards, and the encoder key."""
    versions: Mapping[str, str]
    """Of the libraries on the machine that the run was started on."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """A range of rows that make one shard of each kind."""

    start: int
    items: Sequence[Picture]
    keys: Sequence[bytes | None]
    """Row keys where they are known."""
    wanted: Mapping[str, frozenset[bytes]] = field(default_factory=dict)
    """By kind of output: keys of the images to encode; empty for a task that only hashes."""
    here: str = ""
    """Folder that relative paths start from."""


@dataclass(frozen=True, eq=False)
class Done:
    """What a worker made of a task; the rows themselves are in shards."""

    start: int
    keys: dict[int, bytes] = field(default_factory=dict)
    """Row keys by row of the split, where they are new."""
    stamps: dict[int, Stamp] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    unseen: tuple[int, ...] = ()
    """Which of the unreadable could not even be read as bytes."""
    shards: dict[str, str] = field(default_factory=dict)
    """Names by kind."""


class Worker:
    """Encodes ranges with the model it was given when it started."""

    def __init__(self, held: Sequence[Any]) -> None:
        """Take a reference to a `Setup`, in a list so that Ray leaves it as it is."""
        self.held = held
        self.setup: Setup | None = None

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        """Carry a packed task out; what goes wrong is part of the answer, not a traceback from another machine."""
        return _answered(lambda task: encode(task, self._ready()), row)

    def _ready(self) -> Setup:
        if self.setup is None:
            ray: Any = import_module("ray")
            setup = cast(Setup, ray.get(self.held[0]))
            check_versions(setup)
            setup.model.to(setup.effort.device)
            self.setup = setup
        return self.setup


def look(row: Mapping[str, bytes]) -> dict[str, bytes]:
    """Hash the pictures of a packed task whose keys are not known."""
    return _answered(hashed, row)


def encode(task: Assignment, setup: Setup) -> Done:
    """Encode the wanted images of a range as a single machine does, and write a shard of each kind."""
    places = range(task.start, task.start + len(task.items))
    from ood_toolkit.encode.images import encode_ranges, shard_part

    items = _From(task.start, task.items)
    _, made = next(
        encode_ranges(
            setup.model, items, [places.start], _From(task.start, task.keys).__getitem__,
            lambda key: any(key in keys for keys in task.wanted.values()), setup.kinds, setup.head, setup.effort,
        )
    )  # fmt: skip
    unseen = tuple(place for place in made.unreadable if not _is_seen(items[place]))
    done = Done(task.start, made.keys, made.stamps, made.unreadable, unseen)
    for kind in () if setup.effort.strict and made.unreadable else setup.kinds:
        part = shard_part(made, kind, task.wanted.get(kind, frozenset()).__contains__)
        if part is not None:
            done.shards[kind] = _written(setup, kind, *part)
    return done


def _written(setup: Setup, kind: str, keys: Any, rows: Any) -> str:
    folder, key = setup.folders[kind]
    if setup.effort.exchange:
        return Exchange(setup.effort.exchange).put(key, shard_bytes(keys, rows))
    return write_shard(Path(folder), keys, rows).name


def hashed(task: Assignment) -> Done:
    """Read the pictures of a task whose keys are not known."""
    done = Done(task.start)
    items, keys = _From(task.start, task.items), _From(task.start, task.keys)
    places = list(range(task.start, len(items)))
    no_model = cast(Model, None)  # no picture is wanted, so none is decoded
    for batch in load_batches(no_model, items, iter([places]), keys.__getitem__, lambda key: False, READERS):
        for one in batch:
            if one.unreadable is not None:
                done.unreadable[one.place] = one.unreadable
            elif task.keys[one.place - task.start] is None:
                done.keys[one.place] = one.key
                if one.stamp is not None:
                    done.stamps[one.place] = one.stamp
    return replace(done, unseen=tuple(done.unreadable))


def _is_seen(item: Picture) -> bool:
    try:
        item.read()
    except (OSError, DataError):
        return False
    return True


def _answered(work: Any, row: Mapping[str, bytes]) -> dict[str, bytes]:
    cloudpickle: Any = import_module("ray.cloudpickle")
    try:
        task: Assignment = cloudpickle.loads(row["task"])
        if os.path.isdir(task.here):
            os.chdir(task.here)
        answer = work(task)
    except OodkitError as error:
        answer = error
    except Exception as error:
        answer = ModelError(f"--engine ray: a worker failed: {one_line(error)}")
    return {"done": cloudpickle.dumps(answer)}


def check_versions(setup: Setup) -> None:
    """Refuse libraries other than the driver's: the rows of one store would differ by machine."""
    from ood_toolkit.encode.images import recorded

    mine = recorded(setup.model, setup.effort)["versions"]
    for name, wanted in setup.versions.items():
        if mine.get(name) != wanted:
            raise ModelError(
                f"--engine ray: expected {name} {wanted} on every node, got {mine.get(name)} on {os.uname().nodename}; "
                "install the same version there"
            )


class _From(Sequence[Any]):
    """A part of a longer sequence, under the places it has there."""

    def __init__(self, start: int, part: Sequence[Any]) -> None:
        self.start, self.part = start, part

    def __len__(self) -> int:
        return self.start + len(self.part)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            raise TypeError("a part is read one place at a time")
        return self.part[place - self.start]
