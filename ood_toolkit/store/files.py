"""Where the store lies, and how files come into it: whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ood_toolkit.errors import StoreError
from ood_toolkit.store.foreign.places import place_of

__all__ = ["default_store", "replaced_file", "replaced_folder"]

PARTIAL = ".oodkit-partial."
"""How the name of a file or folder begins that is being written; nothing else begins so."""


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
    with _room_for(final):
        partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=PARTIAL))
        try:
            yield partial
            for file in partial.iterdir():
                _sync(file)
            partial.chmod(0o777 & ~_umask())
            try:
                partial.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
                if not keep:
                    raise StoreError(
                        f"{final}: expected a new or empty folder, another process has filled it; name another"
                    ) from None
            _sync(final.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def replaced_file(final: Path) -> Iterator[Path]:
    """Give a temporary file that takes the place of `final` when the block ends well."""
    with _room_for(final):
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=PARTIAL)
        os.close(handle)
        try:
            yield Path(name)
            _sync(Path(name))
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, final)
            _sync(final.parent)
        finally:
            Path(name).unlink(missing_ok=True)


@contextmanager
def _room_for(final: Path) -> Iterator[None]:
    """Make the parent folder; say a full disk, or a folder that cannot be written, in one line."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "no space is left; free some and run again: all that was finished is kept"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = "it may not be written; choose another folder with --store or OODKIT_STORE"
        else:
            raise
        raise StoreError(f"cannot write to {final.parent}: {why}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
