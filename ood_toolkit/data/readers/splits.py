"""Which folders below one are splits: by their names, unless they are classes that happen to be called so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ood_toolkit.data.readers.below import Below
from ood_toolkit.errors import DataError

__all__ = ["FOLDERS", "SPLITS", "named_splits", "split_folders", "taken_for_splits"]

SPLITS = ("train", "val", "test")
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
"""What the folder of a split may be called."""
LIKE = ("train", "training", "test", "testing", "val", "valid", "validation", "dev")
"""Names of folders, in any case, that are most likely meant as splits."""


def split_folders(below: Below, name: str) -> dict[str, str]:
    """Give the folder of each split that is there, in the order train, val, test; none where there are no splits.

    Folders called so are classes where folders of other names stand beside them with pictures and they themselves hold
    no class folders. Raises `DataError` for two folders of one split.
    """
    found = named_splits(below.top, name)
    usable = {split: folder for split, folder in found.items() if below.inside(folder).paths}
    others = below.outside(found.values())
    beside = any("/" in path for path in others.paths)
    deep = any("/" in path for folder in usable.values() for path in below.inside(folder).paths)
    return {} if beside and not deep else usable


def named_splits(folders: Iterable[str], name: str) -> dict[str, str]:
    """Give the folder of each split by its name; `DataError` for two of one split."""
    here, found = set(folders), {}
    for split in SPLITS:
        named = [folder for folder in FOLDERS[split] if folder in here]
        if len(named) > 1:
            raise DataError(f"{name}: expected one folder of the split {split}, got {' and '.join(named)}; rename one")
        if named:
            found[split] = named[0]
    return found


def taken_for_splits(folders: Iterable[str]) -> list[str]:
    """Name the folders that look like splits but are called otherwise, such as `Train`."""
    known = {folder for named in FOLDERS.values() for folder in named}
    return [folder for folder in folders if folder.lower() in LIKE and folder not in known]
