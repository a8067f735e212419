"""Leases: which parts of a store a process relies on, so that `gc` leaves them; they die with their process."""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ood_toolkit.store.locks import OWNER, State, lock, locked, owner, state_of
from ood_toolkit.store.marker import begin
from ood_toolkit.store.room import room_in

__all__ = ["FOLDER", "LOCK", "Lease", "keep", "leases", "lent", "quiet", "release"]

FOLDER, LOCK = "leases", "lock"
NAME = re.compile(rf"(arrays|encodings)\.([0-9a-f]{{64}})\.({OWNER})\.(\d+)\.[0-9a-f]{{8}}")
"""A lease says in its name all that it says: what of the store, on which machine, for which process."""

_kept: dict[tuple[str, str], tuple[Path, int]] = {}
"""The leases of this process that last until it ends."""
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Lease:
    """One part of a store that a process relies on."""

    path: Path
    what: str
    """Such as `encodings/KEY`."""
    machine: str
    process: int
    state: State


@contextmanager
def lent(store: Path, what: str) -> Iterator[None]:
    """Rely on a part of a store, such as `arrays/KEY`, while the block runs.

    What is there at its start is not deleted by `gc` until its end. `StoreError` where the store cannot be written.
    """
    path, handle = _taken(store, what)
    try:
        yield
    finally:
        _given_back(path, handle)


def keep(store: Path, what: str) -> None:
    """Rely on a part of a store, such as `encodings/KEY`, until the process ends or `release` is called."""
    key = (os.path.abspath(store), what)
    with _one_at_a_time:
        if key not in _kept:
            _kept[key] = _taken(store, what)


def release() -> None:
    """Give back all leases of this process."""
    while _kept:
        _given_back(*_kept.popitem()[1])


@contextmanager
def quiet(store: Path) -> Iterator[None]:
    """Hold all others off from new leases while the block runs: those that are there then are all."""
    folder = store / FOLDER
    with room_in(store):
        folder.mkdir(exist_ok=True)
    with locked(folder / LOCK):
        yield


def leases(store: Path) -> list[Lease]:
    """List the leases on a store, those that died with their process too."""
    try:
        names = sorted(os.listdir(store / FOLDER))
    except OSError:
        return []
    found = []
    for name in names:
        if fits := NAME.fullmatch(name):
            path = store / FOLDER / name
            found.append(Lease(path, f"{fits[1]}/{fits[2]}", fits[3], int(fits[4]), state_of(path, fits[3])))
    return found


def _taken(store: Path, what: str) -> tuple[Path, int]:
    begin(store)
    folder = store / FOLDER
    with room_in(store):
        folder.mkdir(exist_ok=True)
        with locked(folder / LOCK, shared=True):
            while True:
                path = folder / f"{what.replace('/', '.')}.{owner()}.{os.getpid()}.{secrets.token_hex(4)}"
                handle = lock(path, new=True)
                if handle is not None:
                    return path, handle


def _given_back(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)
    os.close(handle)


def _forget() -> None:
    """Leave to the parent of a forked process the leases that it was born with."""
    global _one_at_a_time
    _kept.clear()
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
