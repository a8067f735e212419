"""Image lists as OpenOOD writes them: one `path label` a line, label -1 for an image of no class."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.data.readers.folders import labelled, present
from ood_toolkit.errors import AbsentError, DataError
from ood_toolkit.store.foreign import lines
from ood_toolkit.store.foreign.guard import shown
from ood_toolkit.store.foreign.places import place_of

__all__ = ["imglist_set", "openood_list", "read_imglist", "read_lines"]

NAMES = "classnames.txt"
LABEL = re.compile("-1|[0-9]{1,9}")


def read_lines(file: Path) -> list[str]:
    """Read the lines of a text file that are not blank, also of a gzipped one; `DataError` where that fails.

    Names of files that are not UTF-8 come as Python gives such names.
    """
    return [line.strip() for line in lines.read_lines(file, any_bytes=True) if line.strip()]


def read_imglist(file: Path) -> list[tuple[str, int]]:
    """Read paths and labels; a path may hold spaces. `DataError` names the line that is none."""
    rows: dict[str, int] = {}
    for number, line in enumerate(lines.read_lines(file, any_bytes=True), 1):
        if not line.strip():
            continue
        path, *label = line.strip().rsplit(maxsplit=1)
        if not label or not LABEL.fullmatch(label[0]):
            raise DataError(
                f"{file}: line {number}: expected `path label` with a label from -1, got {shown(line.strip())!r}"
            )
        if path in rows:
            raise DataError(f"{file}: line {number}: expected each image once, got {shown(path)} again")
        rows[path] = int(label[0])
    return list(rows.items())


def listed(file: Path, folder: Path, classes: tuple[str, ...] = ()) -> Pictures:
    """Take the images of a list that are below a folder; without class names there are no labels."""
    rows = read_imglist(file)
    here = [row for row, there in zip(rows, present(folder, (path for path, _ in rows)), strict=True) if there]
    if not here:
        raise DataError(f"{file}: expected its images below {folder}, such as {shown(rows[0][0]) if rows else 'any'}")
    notes = () if len(here) == len(rows) else (f"{len(here):,} of the {len(rows):,} images of {file.name} are here",)
    highest = max(label for _, label in rows)
    if classes and highest >= len(classes):
        raise DataError(f"{file}: label {highest}, but {len(classes)} class names")
    if classes or highest < 0:
        return labelled(folder, here, classes, notes)
    why = f"they have no names; put one a line into {NAMES} beside the list"
    return replace(labelled(folder, here, (), (*notes, f"labels left out: {why}")), unlabelled=why)


def openood_list(name: str, *folders: str) -> Callable[[str, Path], Pictures | None]:
    """Make a reader of one list of OpenOOD, `benchmark_imglist/<name>`, with its images below one of some folders."""

    def read(split: str, root: Path) -> Pictures | None:
        file = root / "benchmark_imglist" / name
        if split != "test" or not file.is_file():
            return None
        rows = read_imglist(file)
        for folder in folders:
            if rows and any(present(root / folder, (path for path, _ in rows))):
                found = listed(file, root / folder)
                return Pictures(found.items, found.ids, notes=(f"the images of OpenOOD's {file.name}",))
        return None

    return read


def imglist_set(text: str, name: str) -> DataSet:
    """Make a set of `LISTFILE` or `LISTFILE@IMAGEROOT`; class names come from a `classnames.txt` beside the list."""
    file, folder = place_of(text), ""
    if not os.path.isfile(file):
        listfile, _, folder = text.partition("@")
        file = place_of(listfile)
    if not os.path.isfile(file):
        raise AbsentError(f"{name}: no such list: {file}")
    names = file.parent / NAMES
    classes = tuple(read_lines(names)) if names.is_file() else ()
    blank = _blank_lines(names) if classes else ()

    def open_list(split: str, root: Path) -> Pictures:
        if split != "test":
            raise DataError(f"{name} has no split {split!r}: use test")
        made = listed(file, place_of(folder) if folder else file.parent, classes)
        return replace(made, notes=(*made.notes, *blank))

    return DataSet(
        name=name,
        description=f"The images of {file.name}.",
        open=open_list,
        counts={"test": len(read_imglist(file))},
        classes=classes,
        class_count=len(classes),
        layout=(f"{file}: lines `path label`, paths below {folder or file.parent}",),
    )


def _blank_lines(names: Path) -> tuple[str, ...]:
    """Say how many lines between class names hold none: whoever counted them has other labels."""
    held = "\n".join(lines.read_lines(names)).strip().split("\n")
    count = sum(not line.strip() for line in held)
    which = "line" if count == 1 else "lines"
    return (f"{count} empty {which} between the names of {names.name} count no class",) if count else ()
