"""Sets that are named by where they are: `folder:PATH`, `imglist:FILE`, `npz:FILE`, `webdataset:PATH`, `hf:NAME`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.spec import nearest
from ood_toolkit.data.readers.below import Below, look_below
from ood_toolkit.data.readers.folders import class_folders, key, labelled, readable
from ood_toolkit.data.readers.huggingface import huggingface_set
from ood_toolkit.data.readers.imglist import imglist_set
from ood_toolkit.data.readers.npz_images import npz_set
from ood_toolkit.data.readers.splits import named_splits, split_folders, taken_for_splits
from ood_toolkit.data.readers.webdataset import webdataset_set
from ood_toolkit.errors import AbsentError, DataError
from ood_toolkit.store.foreign.places import place_of

__all__ = ["FORMS", "check_class_folders", "free_dataset", "real_place"]


def folder_set(text: str, name: str) -> DataSet:
    """Make a set of any folder: `train`, `val`, `test` below it are splits, folders with all images are classes."""
    base = place_of(text)
    if not os.path.isdir(base):
        raise AbsentError(f"{name}: no such folder: {base}")
    below = look_below(base)
    found = split_folders(below, name)
    opened = {split: _folder(base / folder, below.inside(folder), f"{folder}/") for split, folder in found.items()}
    if found:
        last = list(found)[-1]
        opened[last] = replace(opened[last], notes=(*opened[last].notes, *_stray(below, found)))
    else:
        opened["test"] = _folder(base, below, "")
    _check_classes(name, opened)

    def open_folder(split: str, root: Path) -> Pictures:
        if split not in opened:
            like = taken_for_splits(below.top)
            hint = f"; rename {like[0]} if it is one" if like else ""
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(opened)}{hint}")
        return opened[split]

    classes = next(iter(opened.values())).classes
    return DataSet(
        name=name,
        description=f"The images below {base.name or base}.",
        open=open_folder,
        counts={split: len(pictures) for split, pictures in opened.items()},
        classes=classes,
        class_count=len(classes),
        layout=(f"{base}: [train|val|test/][<class>/]<image>",),
    )


def check_class_folders(name: str, classes: Sequence[str]) -> None:
    """Refuse, with a `DataError`, classes that no folder near the top of `folder:PATH` is called; nothing is walked."""
    prefix, _, place = name.partition(":")
    base = place_of(place)
    if prefix != "folder" or not place or not os.path.isdir(base):
        return
    top = _folders(base)
    called = [*top, *(inner for folder in top for inner in _folders(base / folder))]
    known = {key(one) for folder in called for one in (folder, readable(folder))}
    if unknown := [one for one in classes if key(one) not in known]:
        raise DataError(f"{name}: has no class folder {unknown[0]!r}; {nearest(unknown[0], top[:20])}")


def _folders(place: Path) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return sorted(one.name for one in entries if one.is_dir())
    except OSError:  # whoever reads it says why it cannot be listed
        return []


def _folder(folder: Path, below: Below, before: str) -> Pictures:
    """Read a folder: of classes where every image lies right in a folder, else of images without labels."""
    paths = below.paths
    if all(path.count("/") == 1 for path in paths):
        return class_folders(folder, None, before=before, below=below)
    made = labelled(folder, ((path, -1) for path in paths), (), below.notes, before)
    return replace(made, unlabelled=_why_no_classes(below))


def _why_no_classes(below: Below) -> str:
    """Say what keeps folders from being classes: the first image that lies elsewhere."""
    expected = "expected every image right in a class folder, got"
    if splits := taken_for_splits(below.top):
        named = ", ".join(below.top[:4])
        return f"{expected} the folders {named}; folders of splits are called train, val and test: rename {splits[0]}"
    loose = [path for path in below.paths if "/" not in path]
    if len(loose) == len(below.paths):
        return "they lie in no class folders"
    deep = [path for path in below.paths if path.count("/") > 1]
    where = [f"{loose[0]} beside them"] if loose else []
    where += [f"{deep[0]} deeper"] if deep else []
    return f"{expected} {' and '.join(where)}; move {'it' if len(loose) + len(deep) == 1 else 'them'}"


def _stray(below: Below, found: dict[str, str]) -> tuple[str, ...]:
    """Say what lies beside the folders of splits."""
    beside = below.outside(found.values())
    named = [folder for folder in named_splits(below.top, "").values() if folder not in found.values()]
    notes = [f"the folder {folder} holds no images" for folder in named]
    if beside.paths:
        count, which = len(beside.paths), "image is" if len(beside.paths) == 1 else "images are"
        notes.append(
            f"{count:,} {which} left out, in no split ({', '.join(found.values())}): such as {beside.paths[0]}"
        )
    return *notes, *beside.notes


def _check_classes(name: str, opened: dict[str, Pictures]) -> None:
    """Refuse splits of different classes, naming the first that one lacks."""
    (last, pictures), *others = reversed(opened.items())
    for split, other in others:
        if other.classes != pictures.classes:
            lone = sorted({*other.classes} ^ {*pictures.classes})
            why = next((one.unlabelled for one in (other, pictures) if one.unlabelled), "")
            hint = f"{lone[0]!r} is in one alone" if other.classes and pictures.classes else why
            raise DataError(f"{name}: expected the same class folders in {split} as in {last}: {hint}")


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


def real_place(name: str) -> str | None:
    """Say where a set lies that is named by that, the same for each way to write the place; None for other sets."""
    prefix, sign, rest = name.partition(":")
    if not sign or prefix not in FORMS or not rest:
        return None
    first, at, second = rest.partition("@") if prefix == "imglist" else (rest, "", "")
    if prefix == "hf" and not os.path.isdir(first):
        return name
    real = [os.path.realpath(part) for part in (first, second) if part]
    return f"{prefix}:{at.join(real)}"
