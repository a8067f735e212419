"""What is being written, under a name that nothing else has, and what is left of it where its process was killed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ood_toolkit.store.locks import OWNER, State, lock, owner, state_of

__all__ = ["START", "discard", "found_in", "move_aside", "new_file", "new_folder", "remove_dead", "sweep"]

START = ".oodkit-partial."
NAME = re.compile(rf"{re.escape(START)}({OWNER})\.[0-9a-f]{{16}}(\.lock)?")
LOCK = ".lock"


def new_file(folder: Path) -> tuple[Path, int]:
    """Make a file to write to, with the handle that holds its lock; the umask decides who may read it."""
    return _new(folder, lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)))


def new_folder(folder: Path) -> tuple[Path, int]:
    """Make a folder to write to, with the handle that holds its lock; the umask decides who may read it."""
    return _new(folder, Path.mkdir)


def _new(folder: Path, make: Callable[[Path], None]) -> tuple[Path, int]:
    """Make something to write to; its lock lies beside it, for libraries replace files while they write them."""
    while True:
        path = folder / _name()
        handle = lock(_lock_of(path), new=True)
        if handle is not None:
            break
    try:
        make(path)
    except BaseException:
        _lock_of(path).unlink(missing_ok=True)
        os.close(handle)
        raise
    return path, handle


def discard(path: Path, handle: int | None = None) -> None:
    """Take away what is left of a file or folder, with its lock."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    if not path.name.endswith(LOCK):
        _lock_of(path).unlink(missing_ok=True)
    if handle is not None:
        os.close(handle)


def move_aside(path: Path) -> None:
    """Take a folder away as if at once: nobody sees it half deleted."""
    aside = path.with_name(_name())
    path.rename(aside)
    shutil.rmtree(aside)


def found_in(folder: Path) -> Iterator[tuple[Path, State]]:
    """Give what is, or was, being written in a folder, with the state of its process."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        fits = NAME.fullmatch(name)
        if fits is None or (fits[2] and name.removesuffix(LOCK) in names):
            continue  # a lock goes with what it is of
        path = folder / name
        if not path.is_symlink():
            yield path, _state(path if fits[2] else _lock_of(path), fits[1])


def sweep(folder: Path) -> None:
    """Take away what killed runs of this machine left half-written in a folder."""
    for path, state in found_in(folder):
        if state is State.DEAD:
            remove_dead(path)


def remove_dead(path: Path) -> None:
    """Take away what a killed run left half-written; its lock is held meanwhile, so that nobody just begins with it."""
    handle = lock(path if path.name.endswith(LOCK) else _lock_of(path))
    if handle is not None:
        discard(path, handle)


def _state(held: Path, of: str) -> State:
    """Tell the state of what was written; without a lock it has lost its process, if that was one of here."""
    if held.exists():
        return state_of(held, of)
    return State.DEAD if of == owner() else State.UNKNOWN


def _name() -> str:
    return f"{START}{owner()}.{secrets.token_hex(8)}"


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + LOCK)
