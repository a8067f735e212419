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
from ood_toolkit.data.readers.below import Below, look_below
from ood_toolkit.data.readers.suffixes import counted
from ood_toolkit.errors import DataError
from ood_toolkit.outputs.class_names import comparable, first_few
from ood_toolkit.store.foreign.guard import quoted

__all__ = [
    "ClassFolders", "Reader", "class_folders", "images_below", "labelled", "plain_folder", "present", "readable",
]  # fmt: skip


NUMBER = re.compile(r"\d+\.(?=[^\d\s])")
"""A number that counts classes in front of a folder's name."""
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
        """Give the label of each folder, and of each name that only one class bears."""
        named = {name: label for label, name in enumerate(self.names) if self.names.count(name) == 1}
        return named | {folder: label for label, folder in enumerate(self.folders)}

    def label(self, folder: str, place: Path | str) -> int:
        """Give the label of a class folder, by its own or its prompt name, else by the words in it.

        Raises `DataError` for a folder that is no class, which names the nearest, and for one that two classes fit.
        """
        if folder in self.labels:
            return self.labels[folder]
        found = sorted(self._by_words.get(key(folder), ()))
        if len(found) > 1:
            first, second = (self.folders[label] for label in found[:2])
            raise DataError(f"{place}: {folder!r} fits the classes {first!r} and {second!r}; name it as one of them")
        if not found:
            hint = nearest(folder, self.folders) if len(self.folders) <= 20 else _closest(folder, self.folders)
            raise DataError(f"{place}: {quoted(folder)} is no class of this set; {hint}")
        return found[0]

    @cached_property
    def _by_words(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for name, label in self.labels.items():
            found.setdefault(key(name), set()).add(label)
        return found


def key(name: str) -> str:
    """Reduce a name to its words, so that `apple_pie`, `apple pie` and `Apple-Pie` are one; a sign in front counts."""
    text = comparable(name)
    sign = text[:1] if text[:1] in ("+", "-") else ""
    return sign + " ".join(re.findall(r"\w+", text)) if re.search(r"\w", text) else text


def readable(folder: str) -> str:
    """Make a prompt name of a numbered folder's: no number in front, spaces for `_` and `/`."""
    return _spaced(NUMBER.sub("", folder))


def readable_all(folders: Sequence[str]) -> tuple[str, ...]:
    """Make prompt names of folders; a number in front goes where all have one and no two the same.

    So `001.Black_footed_Albatross` is named without it, and `1.5 V` and `7.up` keep theirs.
    """
    numbers = [NUMBER.match(folder) for folder in folders]
    found = [number[0] for number in numbers if number]
    numbered = len(set(found)) == len(folders) > 1
    return tuple(readable(folder) if numbered else _spaced(folder) for folder in folders)


def _spaced(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("/", " ").split())


def images_below(folder: Path) -> list[str]:
    """List the images below a folder, `/` between parts, sorted; hidden files and other files are passed over."""
    return list(look_below(folder).paths)


def present(folder: Path, paths: Iterable[str]) -> Iterator[bool]:
    """Tell for each path whether the file is below the folder; each folder is listed once."""
    listed: dict[str, set[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        if parent not in listed:
            place = folder / parent
            listed[parent] = set(os.listdir(place)) if os.path.isdir(place) else set()
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


def class_folders(
    folder: Path, known: ClassFolders | None, count: int = 0, before: str = "", below: Below | None = None
) -> Pictures:
    """Read `<class folder>/<image>` below a folder; images in no folder at all are taken without labels.

    Without `known` the folders themselves are the classes, in sorted order, also those without images; `count` is how
    many the whole set has. `below` is what lies there, where that is known. Raises `DataError` for an empty folder, a
    folder that is no class, and images beside class folders.
    """
    below = look_below(folder) if below is None else below
    if known is not None:
        below = below.outside(known.ignored)
    paths = below.paths
    if not paths:
        raise DataError(f"{folder}: expected images, found none{_instead(below)}")
    loose = [path for path in paths if "/" not in path]
    if len(loose) == len(paths):
        rows = labelled(folder, ((path, -1) for path in paths), (), before=before)
        said = ["no class folders, so no labels"] if known or count else []
        return Pictures(rows.items, rows.ids, notes=(*said, *below.notes), unlabelled="they lie in no class folders")
    if loose:
        raise DataError(f"{folder}: expected every image in a class folder, got {loose[0]} beside them")
    folders = sorted({path.split("/")[0] for path in paths})
    notes = below.notes
    if known is None:
        empty = sorted(set(below.top) - set(folders))
        if empty:
            notes = (*notes, _of_empty(empty))
            folders = sorted((*folders, *empty))
        known = ClassFolders(tuple(folders), _one_name_each(folder, folders))
        if count and len(folders) != count:
            notes = (*notes, f"{len(folders)} of the {count} classes are here, and labels count these alone")
    label = {name: known.label(name, folder) for name in {path.split("/")[0] for path in paths}}
    return labelled(folder, ((path, label[path.split("/")[0]]) for path in paths), known.names, notes, before)


def _instead(below: Below) -> str:
    """Say what lies where images were expected."""
    return f"; there are other files ({counted(below.others)})" if below.others else ""


def _of_empty(folders: list[str]) -> str:
    """Say which class folders hold no images."""
    which, counts = f"{len(folders)} class folders,", "they count"
    if len(folders) == 1:
        which, counts = "the class folder", "it counts"
    return f"{which} {first_few(folders, 5)} without images: {counts} among the classes"


def _one_name_each(place: Path, folders: list[str]) -> tuple[str, ...]:
    """Make the prompt names of class folders; `DataError` where two would be one class."""
    first: dict[str, str] = {}
    names = readable_all(folders)
    for name, readable_name in zip(folders, names, strict=True):
        other = first.setdefault(readable_name, name)
        if other != name:
            raise DataError(f"{place}: class folders {other!r} and {name!r} make one class name; rename one")
    return names


def plain_folder(*places: str) -> Callable[[str, Path], Pictures | None]:
    """Make a reader that takes all images below the first of some folders, without labels."""

    def read(split: str, root: Path) -> Pictures | None:
        for place in places:
            if (root / place).is_dir():
                below = look_below(root / place)
                if not below.paths:
                    raise DataError(f"{root / place}: expected images, found none{_instead(below)}")
                return labelled(root / place, ((path, -1) for path in below.paths), (), below.notes)
        return None

    return read


def _closest(name: str, names: Sequence[str]) -> str:
    hint = nearest(name, names)
    return hint if hint.startswith("did") else f"its {len(names)} classes are {names[0]} to {names[-1]}"
