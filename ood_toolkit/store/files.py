"""Where the store lies, and how files come into it: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ood_toolkit.errors import StoreError
from ood_toolkit.store.foreign.places import place_of
from ood_toolkit.store.partial import discard, new_file, new_folder
from ood_toolkit.store.room import room_in

__all__ = ["default_store", "replaced_file", "replaced_folder"]


def default_store() -> Path:
    """Give `OODKIT_STORE`, else the folder `oodkit` in the user's cache folder."""
    named = os.environ.get("OODKIT_STORE")
    if named:
        return place_of(named)
    return place_of(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oodkit"


@contextmanager
def replaced_folder(final: Path, *, keep: bool = True) -> Iterator[Path]:
    """Give a temporary folder that becomes `final` when the block ends well.

    One that is already there, and not empty, is kept; without `keep` it is a `StoreError`.
    """
    with room_in(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        partial, handle = new_folder(final.parent)
    try:
        with room_in(final.parent):
            yield partial
            _open_up(partial)
            for file in partial.iterdir():
                _sync(file)
            _take_place(partial, final, keep=keep)
            _sync(final.parent)
    finally:
        discard(partial, handle)


@contextmanager
def replaced_file(final: Path) -> Iterator[Path]:
    """Give a temporary file that takes the place of `final` when the block ends well."""
    with room_in(final.parent):
        final.parent.mkdir(parents=True, exist_ok=True)
        partial, handle = new_file(final.parent)
    try:
        mode = _mode(partial)
        with room_in(final.parent):
            yield partial
            if _mode(partial) != mode:  # a library may have put a file of its own in its place
                partial.chmod(mode)
            _sync(partial)
            os.replace(partial, final)
            _sync(final.parent)
    finally:
        discard(partial, handle)


def _take_place(partial: Path, final: Path, *, keep: bool) -> None:
    try:
        partial.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        if not keep:
            raise StoreError(
                f"{final}: expected a new or empty folder, another process has filled it; name another"
            ) from None


def _open_up(folder: Path) -> None:
    """Let those read the files of a folder whom the umask lets: some libraries shut all others out."""
    mode = _mode(folder) & 0o666
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink() and _mode(file) != mode:
            file.chmod(mode)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
