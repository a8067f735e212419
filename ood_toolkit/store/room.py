"""A disk that is full, or may not be written, said in one line that names the folder and what to free."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ood_toolkit.errors import OodkitError, StoreError, refusal

__all__ = ["check_writable", "room_in"]

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
LITTLE = 1 << 16
"""Bytes: a disk with less is full, whatever a library says of a write that failed."""


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Turn what goes wrong while a folder is written to into a `StoreError` of one line."""
    try:
        yield
    except OodkitError:
        raise
    except Exception as error:
        why = _why(error, folder)
        if why is None:
            raise
        raise StoreError(f"cannot write to {folder}: {why}") from error


def check_writable(place: Path, called: object = None) -> None:
    """Refuse, with a `StoreError`, a file or folder that could not be written; `called` is what its user calls it."""
    name = place if called is None else called
    try:
        there = next(one for one in (place, *place.absolute().parents) if one.exists())
        is_blocked = there != place and not there.is_dir()
    except OSError as error:
        raise StoreError(f"cannot write {name}: {refusal(error) or 'no such place'}") from None
    if is_blocked:
        raise StoreError(f"cannot write {name}: {there} is a file, not a folder; name another place")
    if not os.access(there, os.W_OK):
        why = f"there is no permission to write to {there}; change its permissions, or name another place"
        raise StoreError(f"cannot write {name}: {why}")


def _why(error: Exception, folder: Path) -> str | None:
    found = next((one for one in _chain(error) if isinstance(one, OSError)), None)
    number = None if found is None else found.errno
    silent = number is None and isinstance(error, RuntimeError) and _free(folder) < LITTLE  # as torch's are
    if number in FULL or "No space left" in str(error) or silent:
        return f"no space is left; free some and run again: {_to_free(folder)}; all that was finished is kept"
    if number in CLOSED:
        return "it may not be written; name another folder, the store's with --store or OODKIT_STORE"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _to_free(folder: Path) -> str:
    """Say how full the disk is, and what of it this program can give back."""
    try:
        usage = shutil.disk_usage(_there(folder))
    except OSError:
        return "delete what you do not need on its disk"
    sizes = f"its disk has {_size(usage.free)} of {_size(usage.total)} left"
    return f"{sizes}; delete what you do not need there, or see what oodkit store gc --dry-run gives back"


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(_there(folder)).free
    except OSError:
        return LITTLE


def _there(folder: Path) -> Path:
    return next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)


def _size(count: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
