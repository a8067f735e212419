"""Pictures in folders: what lies below one, and which class each class folder is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import FilePicture
from ood_toolkit.api.spec import nearest
from ood_toolkit.errors import DataError

__all__ = ["ClassFolders", "Reader", "class_folders", "images_below", "labelled", "plain_folder", "present", "readable"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff")


Reader = Callable[[str, Path], Pictures | None]
"""Finds a split below the data root in one layout; None where nothing of this layout is there."""


@dataclass(frozen=True)
class ClassFolders:
    """The class folders of a set and the names that go into a prompt, both in label order."""

    folders: tuple[str, ...]
    names: tuple[str, ...]
    ignored: tuple[str, ...] = field(default=(), kw_only=True)
    """Folders that hold pictures of no class and are passed over."""

    @cached_property
    def labels(self) -> dict[str, int]:
        """Give the label of each folder and of each name that only one class bears, by `key`."""
        found = {key(folder): label for label, folder in enumerate(self.folders)}
        named = [key(name) for name in self.names]
        return {name: label for label, name in enumerate(named) if named.count(name) == 1} | found

    def label(self, folder: str, place: Path | str) -> int:
        """Give the label of a class folder, by its own or its prompt name; `DataError` names the nearest class."""
        label = self.labels.get(key(folder))
        if label is None:
            hint = nearest(folder, self.folders) if len(self.folders) <= 20 else _closest(folder, self.folders)
            raise DataError(f"{place}: {folder!r} is no class of this set; {hint}")
        return label


def key(name: str) -> str:
    """Reduce a name to its words, so that `apple_pie`, `apple pie` and `Apple-Pie` are one."""
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def readable(folder: str) -> str:
    """Make a prompt name of a folder's: no number in front, spaces for `_` and `/`."""
    return " ".join(re.sub(r"^\d+\.", "", folder).replace("_", " ").replace("/", " ").split())


def images_below(folder: Path) -> list[str]:
    """List the images below a folder, `/` between parts, sorted; hidden files and other files are passed over."""
    found: list[str] = []
    for place, inside, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if any(os.path.realpath(folder / parent) == real for parent in Path(place).relative_to(folder).parents):
            inside.clear()  # a link that leads back up
            continue
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        before = "" if place == str(folder) else Path(place).relative_to(folder).as_posix() + "/"
        found += [before + name for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)


def present(folder: Path, paths: Iterable[str]) -> Iterator[bool]:
    """Tell for each path whether the file is below the folder; each folder is listed once."""
    listed: dict[str, set[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        if parent not in listed:
            place = folder / parent
            listed[parent] = set(os.listdir(place)) if place.is_dir() else set()
        yield name in listed[parent]


def labelled(
    folder: Path,
    found: Iterable[tuple[str, int]],
    classes: tuple[str, ...],
    notes: tuple[str, ...] = (),
    before: str = "",
) -> Pictures:
    """Make pictures of paths below a folder and their labels, sorted by path; `before` goes in front of each id."""
    import numpy as np

    rows = sorted(found)
    return Pictures(
        items=[FilePicture(str(folder / path)) for path, _ in rows],
        ids=tuple(before + path for path, _ in rows),
        labels=np.array([label for _, label in rows], dtype=np.int64) if classes else None,
        classes=classes,
        notes=notes,
    )


def class_folders(folder: Path, known: ClassFolders | None, count: int = 0, before: str = "") -> Pictures:
    """Read `<class folder>/<image>` below a folder; images in no folder at all are taken without labels.

    Without `known` the folders themselves are the classes, in sorted order; `count` is how many the whole set has.
    Raises `DataError` for an empty folder, a folder that is no class, and images beside class folders.
    """
    paths = images_below(folder)
    if known is not None:
        paths = [path for path in paths if path.split("/")[0] not in known.ignored]
    if not paths:
        raise DataError(f"{folder}: expected images, found none")
    loose = [path for path in paths if "/" not in path]
    if len(loose) == len(paths):
        rows = labelled(folder, ((path, -1) for path in paths), (), before=before)
        return Pictures(rows.items, rows.ids, notes=("no class folders, so no labels",) if known or count else ())
    if loose:
        raise DataError(f"{folder}: expected every image in a class folder, got {loose[0]} beside them")
    folders = sorted({path.split("/")[0] for path in paths})
    notes: tuple[str, ...] = ()
    if known is None:
        known = ClassFolders(tuple(folders), _one_name_each(folder, folders))
        if count and len(folders) != count:
            notes = (f"{len(folders)} of the {count} classes are here, and labels count these alone",)
    label = {name: known.label(name, folder) for name in folders}
    return labelled(folder, ((path, label[path.split("/")[0]]) for path in paths), known.names, notes, before)


def _one_name_each(place: Path, folders: list[str]) -> tuple[str, ...]:
    """Make the prompt names of class folders; `DataError` where two would be one class."""
    first: dict[str, str] = {}
    for name in folders:
        other = first.setdefault(readable(name), name)
        if other != name:
            raise DataError(f"{place}: class folders {other!r} and {name!r} make one class name; rename one")
    return tuple(first)


def plain_folder(*places: str) -> Callable[[str, Path], Pictures | None]:
    """Make a reader that takes all images below the first of some folders, without labels."""

    def read(split: str, root: Path) -> Pictures | None:
        for place in places:
            if (root / place).is_dir():
                paths = images_below(root / place)
                if not paths:
                    raise DataError(f"{root / place}: expected images, found none")
                return labelled(root / place, ((path, -1) for path in paths), ())
        return None

    return read


def _closest(name: str, names: Sequence[str]) -> str:
    hint = nearest(name, names)
    return hint if hint.startswith("did") else f"its {len(names)} classes are {names[0]} to {names[-1]}"
