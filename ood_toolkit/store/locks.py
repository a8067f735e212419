"""Locks on files that die with their process, and whose they are."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without such locks
    fcntl = None  # type: ignore[assignment]

__all__ = ["OWNER", "State", "is_busy", "lock", "locked", "owner", "state_of"]

OWNER = r"[A-Za-z0-9-]{0,40}-[0-9a-f]{8}"
"""How an owner looks: the name of a machine, and a part of the hash of what tells it from others of that name."""
BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


class State(Enum):
    """What is known of the process that a lock belongs to."""

    ALIVE = "running"
    DEAD = "over"
    UNKNOWN = "cannot be checked from here"
    """It belongs to another machine, or the file system has no locks: it counts as running."""


@cache
def owner() -> str:
    """Name this machine, as it stands in the names of locks: one that is restarted keeps its name."""
    name, machine = socket.gethostname(), ""
    for file in MACHINE_IDS:
        try:
            machine = machine or file.read_text().strip()
        except (OSError, ValueError):
            continue
    told = hashlib.sha256(f"{name}\0{machine or uuid.getnode()}".encode()).hexdigest()
    return f"{re.sub('[^A-Za-z0-9-]', '-', name)[:40]}-{told[:8]}"


def lock(path: Path, *, new: bool = False) -> int | None:
    """Open a file, made if need be, and lock it for as long as the handle that this gives is open.

    None where another process holds it, or, for a `new` file, where one of that name was there. Where the file system
    has no locks the file is open all the same. The process's umask decides who may read the file.
    """
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | (os.O_EXCL if new else 0), 0o666)
        except FileExistsError:
            return None
        try:
            if is_busy(handle):
                if new:
                    path.unlink(missing_ok=True)
                os.close(handle)
                return None
            if _is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its owner has taken it away since it was opened
        if new:
            return None


def is_busy(handle: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an open file, unless another process holds it; tell whether that is so."""
    try:
        _lock(handle, shared=shared, wait=wait)
    except OSError as error:
        return error.errno in BUSY
    return False


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file that stays, waiting for others; several may share it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        is_busy(handle, shared=shared, wait=True)
        yield
    finally:
        os.close(handle)


def state_of(path: Path, of: str) -> State:
    """Tell what is known of the process of this `owner` that has, or had, a lock on a file."""
    try:
        handle = _opened(path)
    except FileNotFoundError:
        return State.DEAD
    except OSError:
        return State.UNKNOWN
    try:
        _lock(handle, shared=False, wait=False)
    except OSError as error:
        return State.ALIVE if error.errno in BUSY else State.UNKNOWN
    finally:
        os.close(handle)
    return State.DEAD if of == owner() else State.UNKNOWN


def _lock(handle: int, *, shared: bool, wait: bool) -> None:
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def _is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
