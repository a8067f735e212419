"""`Below`: what lies below a folder, found in one walk: its pictures, its other files, its folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ood_toolkit.data.readers.suffixes import counted, is_picture
from ood_toolkit.errors import DataError, refusal

__all__ = ["Below", "look_below", "walk_below"]

LEFT_BY_SYSTEMS = ("thumbs.db", "desktop.ini", "__macosx")
"""Names that operating systems leave behind, besides those that begin with a dot; they are passed over."""


@dataclass(frozen=True)
class Below:
    """What lies below a folder, as paths from it with `/` between parts, sorted."""

    paths: tuple[str, ...]
    """Pictures, by their names."""
    others: tuple[str, ...] = ()
    """Other files, which are left out."""
    folders: tuple[str, ...] = ()

    @cached_property
    def top(self) -> tuple[str, ...]:
        """The folders right below."""
        return tuple(name for name in self.folders if "/" not in name)

    def inside(self, folder: str) -> Below:
        """Give what lies below one of its folders."""
        return Below(*(_within(folder, part) for part in (self.paths, self.others, self.folders)))

    def outside(self, folders: Iterable[str]) -> Below:
        """Give what lies in none of these folders right below."""
        named = set(folders)
        kept = (
            tuple(p for p in part if p.split("/")[0] not in named) for part in (self.paths, self.others, self.folders)
        )
        return Below(*kept)

    @property
    def notes(self) -> tuple[str, ...]:
        """Say how many files are left out, by suffix."""
        if not self.others:
            return ()
        count = len(self.others)
        which = "file is" if count == 1 else "files are"
        return (f"{count:,} other {which} left out, by their names no pictures: {counted(self.others)}",)


def look_below(folder: Path) -> Below:
    """Walk a folder once; hidden files, what operating systems leave, pipes and devices are passed over.

    Raises `DataError` for a folder that cannot be listed: its pictures would be missing without a word.
    """
    paths: list[str] = []
    others: list[str] = []
    folders: list[str] = []
    for place, files in walk_below(folder):
        within = Path(place).relative_to(folder).as_posix()
        before = "" if within == "." else within + "/"
        folders += [within] if before else []
        for name in files:
            (paths if is_picture(name) else others).append(before + name)
    return Below(tuple(sorted(paths)), tuple(sorted(others)), tuple(sorted(folders)))


def walk_below(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Walk a folder and those below it, in the order of their names: the path of each, and the names of its files.

    Hidden files, what operating systems leave, pipes and devices are passed over, and links that lead back up are not
    followed. Raises `DataError` for a folder that cannot be listed: its files would be missing without a word.
    """
    for place, inside, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        if any(os.path.realpath(folder / parent) == real for parent in Path(place).relative_to(folder).parents):
            inside.clear()
            continue
        inside[:] = sorted(name for name in inside if not _is_passed_over(name))
        waiting = _waiting(place) if files else set()
        yield place, sorted(name for name in files if not _is_passed_over(name) and name not in waiting)


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{error.filename}: expected a folder that can be listed, got: {refusal(error) or error.strerror}"
    ) from None


def _is_passed_over(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS


def _waiting(folder: str) -> set[str]:
    """Name the pipes, sockets and devices in a folder, and links to such, which may be read for ever."""
    with os.scandir(folder) as entries:  # which tells plain files without asking for each
        return {one.name for one in entries if not one.is_file() and not one.is_dir() and os.path.exists(one.path)}


def _within(folder: str, paths: Iterable[str]) -> tuple[str, ...]:
    before = f"{folder}/"
    return tuple(path[len(before) :] for path in paths if path.startswith(before))
