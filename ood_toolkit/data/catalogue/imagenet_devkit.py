"""The validation images of ImageNet as their archive unpacks, in one folder; their labels from the development kit."""

from __future__ import annotations

import re
from pathlib import Path

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.data.readers.below import look_below
from ood_toolkit.data.readers.folders import ClassFolders, labelled
from ood_toolkit.data.readers.imglist import read_lines
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import guarded, quoted
from ood_toolkit.store.foreign.matlab import read_structures

__all__ = ["flat_validation", "is_flat"]

IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG", re.IGNORECASE)
KIT = "ILSVRC2012_devkit_t12"
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
WITHOUT = (
    f"no class folders and no {TRUTH} with {META} beside them, so no labels; unpack {KIT}.tar.gz beside the images"
)


def is_flat(folder: Path) -> bool:
    """Tell whether validation images lie right in a folder, as ILSVRC2012_img_val.tar unpacks."""
    return any(IMAGE.fullmatch(item.name) for item in folder.iterdir())


def flat_validation(folder: Path, root: Path, known: ClassFolders, *, part: bool) -> Pictures | None:
    """Read validation images that lie in one folder; `part` leaves out those of other classes than the known ones.

    Labels are those of the development kit, of Russakovsky et al. (IJCV 2015, arXiv 1409.0575), where it lies in the
    folder, above it or in the data root. Without it there are no labels, a note says so, and of a part is nothing to
    be had: None. Raises `DataError` for an image whose number the kit does not have.
    """
    below = look_below(folder)
    numbers = {path: int(found[1]) for path in below.paths if (found := IMAGE.fullmatch(path))}
    left = [path for path in below.paths if path not in numbers]
    notes = [*below.notes, *([f"{len(left):,} images of other names are left out, such as {left[0]}"] if left else [])]
    kit = _kit(folder, root)
    if kit is None:
        if part:
            return None
        made = labelled(folder, ((path, -1) for path in numbers), ())
        return Pictures(made.items, made.ids, notes=(WITHOUT, *notes), unlabelled=WITHOUT)
    wnids = _wnids(kit)
    highest = max(numbers.values())
    if not 0 < min(numbers.values()) <= highest <= len(wnids):
        raise DataError(f"{kit / TRUTH}: expected the label of each image, got {len(wnids):,}, but image {highest:,}")
    place = {wnid: label for label, wnid in enumerate(known.folders)}
    rows = [(path, place[wnids[number - 1]]) for path, number in numbers.items() if wnids[number - 1] in place]
    return labelled(folder, rows, known.names, tuple(notes)) if rows else None


def _kit(folder: Path, root: Path) -> Path | None:
    """Find the folder that holds the labels of the validation images and what they number."""
    for place in (folder, folder.parent, root):
        for kit in (place / KIT / "data", place / "data", place):
            if (kit / TRUTH).is_file() and (kit / META).is_file():
                return kit
    return None


def _wnids(kit: Path) -> list[str]:
    """Give the WordNet id of each validation image, in the order of their numbers."""
    ids = _numbered(kit / META)
    lines = read_lines(kit / TRUTH)
    for place, line in enumerate(lines, 1):
        if not line.isdecimal() or len(line) > 9 or int(line) not in ids:
            raise DataError(
                f"{kit / TRUTH}: line {place}: expected a number of {META}, from 1 to {len(ids)}, got {quoted(line)}"
            )
    return [ids[int(line)] for line in lines]


def _numbered(file: Path) -> dict[int, str]:
    """Read which WordNet id each number is; the kit numbers synsets that have no children first."""
    what = "the synsets of the development kit"
    rows = read_structures(file, "synsets", ("ILSVRC2012_ID", "WNID", "num_children"), what)
    with guarded(str(file), what):
        ids = {int(number): wnid for number, wnid, children in rows if not int(children)}
    if not ids:
        raise DataError(f"{file}: expected synsets without children, found none")
    return ids
