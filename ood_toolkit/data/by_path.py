"""Sets that are named by where they are: `folder:PATH`, `imglist:FILE`, `npz:FILE`, `webdataset:PATH`, `hf:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.data.readers.folders import class_folders, images_below, labelled
from ood_toolkit.data.readers.huggingface import huggingface_set
from ood_toolkit.data.readers.imglist import imglist_set
from ood_toolkit.data.readers.npz_images import npz_set
from ood_toolkit.data.readers.webdataset import webdataset_set
from ood_toolkit.errors import AbsentError, DataError

__all__ = ["FORMS", "free_dataset"]

SPLITS = ("train", "val", "test")


def folder_set(text: str, name: str) -> DataSet:
    """Make a set of any folder: `train`, `val`, `test` below it are splits, folders with all images are classes."""
    base = Path(text)
    if not base.is_dir():
        raise AbsentError(f"{name}: no such folder: {base}")
    splits = tuple(split for split in SPLITS if (base / split).is_dir()) or ("test",)
    opened: dict[str, Pictures] = {}

    def open_folder(split: str, root: Path) -> Pictures:
        if split not in splits:
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(splits)}")
        if split not in opened:
            inside = (base / split).is_dir()
            opened[split] = _folder(base / split if inside else base, f"{split}/" if inside else "")
        return opened[split]

    classes = open_folder(splits[-1], base).classes
    for split in splits[:-1]:
        if open_folder(split, base).classes != classes:
            raise DataError(f"{name}: expected the same class folders in {split} as in {splits[-1]}")
    return DataSet(
        name=name,
        description=f"The images below {base.name or base}.",
        open=open_folder,
        counts={split: len(opened[split]) for split in splits},
        classes=classes,
        class_count=len(classes),
        layout=(f"{base}: [train|val|test/][<class>/]<image>",),
    )


def _folder(folder: Path, before: str) -> Pictures:
    paths = images_below(folder)
    if paths and all(path.count("/") == 1 for path in paths):
        return class_folders(folder, None, before=before)
    if not paths:
        raise DataError(f"{folder}: expected images, found none")
    return labelled(folder, ((path, -1) for path in paths), (), before=before)


FORMS: dict[str, Callable[[str, str], DataSet]] = {
    "folder": folder_set,
    "imglist": imglist_set,
    "npz": npz_set,
    "webdataset": webdataset_set,
    "hf": huggingface_set,
}
"""What makes a set of the text after each prefix."""


def free_dataset(text: str) -> DataSet | None:
    """Make the set that a prefixed name such as `folder:photos` means; None for a text without a known prefix."""
    prefix, sign, rest = text.partition(":")
    if not sign or prefix not in FORMS:
        return None
    if not rest:
        raise DataError(f"{text}: expected a place after {prefix}:")
    return FORMS[prefix](rest, text)
