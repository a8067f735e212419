"""`Memory`: what files hashed to, remembered by path, size, time and inode so that nothing is read twice in vain."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ood_toolkit.errors import StoreError
from ood_toolkit.store.foreign.guard import open_regular, reason
from ood_toolkit.store.marker import begin

__all__ = ["Memory", "Stamp", "Stamped", "Whole", "hash_of", "stamp_of"]

CHUNK = 1 << 20
FRESH_NS = 2_000_000_000
"""A file that changed less than this before it was hashed may change again under the same time stamp."""
DIGEST = 32
"""Bytes of a SHA-256; of what is to be hashed again, there are none."""
Stamp = tuple[int, int, int]
"""Size, modification time in nanoseconds, inode."""


class Stamped(Protocol):
    """What has a hash that can be remembered: a file, or a part of one."""

    @property
    def file(self) -> Path | None:
        """The file; None for what is in memory."""

    @property
    def part(self) -> str:
        """Which part of the file; "" for all of it."""


@dataclass(frozen=True)
class Whole:
    """A whole file."""

    file: Path
    part: str = ""


class Memory:
    """The hashes of files, in a database that can be deleted at any time: it only saves reading them again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hashes.sqlite"
        try:
            begin(folder)
            self._open()
        except (sqlite3.OperationalError, OSError) as error:
            raise StoreError(
                f"{self.path}: cannot be opened ({reason(error)}); is the folder writable, or another process at it? "
                "--store names another one"
            ) from None
        except (sqlite3.DatabaseError, UnicodeError):
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Put an empty database in place of a damaged one: all it held can be had again."""
        if hasattr(self, "database"):
            self.database.close()
        self.path.unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        if self.path.exists() and not self.path.is_file():  # sqlite would wait for a pipe
            raise OSError("it is no file")
        if not self.path.exists():  # sqlite itself would keep a group out that the umask lets in
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666))
        self.database = sqlite3.connect(self.path, timeout=60)
        with self.database:
            self.database.execute(
                "create table if not exists hashes (path text primary key, size int, time int, inode int, hash blob)"
            )

    def recall(self, items: Sequence[Stamped]) -> list[bytes | None]:
        """Give the SHA-256 of each item as it was last seen; None for one that is new, changed or gone, or no file."""
        stamps: dict[str, Stamp | None] = {}
        try:
            return [self._recall(item, stamps) for item in items]
        except sqlite3.OperationalError:  # locked for a minute
            return [None] * len(items)
        except (sqlite3.DatabaseError, TypeError, UnicodeError):
            self._begin_anew()
            return [None] * len(items)

    def _recall(self, item: Stamped, stamps: dict[str, Stamp | None]) -> bytes | None:
        if item.file is None:
            return None
        path = os.path.abspath(item.file)
        held = self.database.execute(
            "select size, time, inode, hash from hashes where path = ?", (_key(path + item.part),)
        ).fetchone()
        if held is None:
            return None
        if path not in stamps:
            stamps[path] = _stamp(path)
        digest = held[3]
        whole = isinstance(digest, bytes) and len(digest) == DIGEST
        return digest if whole and stamps[path] == held[:3] else None

    def remember(self, seen: Iterable[tuple[Stamped, Stamp, bytes]]) -> None:
        """Keep what items hashed to, with the stamp that the file of each had before it was read."""
        rows = [
            (_key(os.path.abspath(item.file) + item.part), *stamp, digest) for item, stamp, digest in seen if item.file
        ]
        try:
            with self.database:
                self.database.executemany("insert or replace into hashes values (?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError:
            pass  # locked for a minute, read-only or no room: then they are hashed again next time
        except sqlite3.DatabaseError:
            self._begin_anew()

    def sha256(self, file: Path, *, again: bool = False) -> bytes:
        """Give the SHA-256 of a whole file, reading it only if it is new or has changed, or `again` is asked for."""
        item = Whole(file)
        digest = None if again else self.recall([item])[0]
        if digest is None:
            stamp, digest = stamp_of(file), hash_of(file)
            if stamp is not None:
                self.remember([(item, stamp, digest)])
        return digest

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()


def stamp_of(file: Path) -> Stamp | None:
    """Give what a hash is remembered by, to be taken before the file is read; None while it may still change."""
    stamp = _stamp(str(file))
    return stamp if stamp is not None and time.time_ns() - stamp[1] > FRESH_NS else None


def hash_of(file: Path) -> bytes:
    """Read a file and give the SHA-256 of its bytes, 32 of them."""
    digest = hashlib.sha256()
    with open_regular(file) as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return digest.digest()


def _key(path: str) -> str | bytes:
    """Return a path as the database takes it: by its bytes where it is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape")
    return path


def _stamp(path: str) -> Stamp | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns, about.st_ino
