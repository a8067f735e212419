"""Readers of what torchvision leaves below its root, mostly through torchvision's own classes; and its downloads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.data.readers.folders import ClassFolders, class_folders, labelled, present, readable
from ood_toolkit.data.readers.imglist import read_imglist, read_lines
from ood_toolkit.data.readers.npz_images import ArrayPictures
from ood_toolkit.errors import DataError, one_line
from ood_toolkit.store.foreign.guard import quoted, reason, shown
from ood_toolkit.store.foreign.objects import read_object

if TYPE_CHECKING:
    from ood_toolkit.data.readers.folders import Reader

__all__ = [
    "arrays",
    "caltech256",
    "cub200",
    "downloader",
    "folder_tree",
    "food101",
    "listed_files",
    "oxford_pets",
    "places365",
]

Options = Mapping[str, Mapping[str, Any]]
"""What a torchvision class takes for each split."""


def listed_files(
    kind: str,
    base: str,
    needs: Mapping[str, tuple[str, ...]],
    options: Options,
    known: ClassFolders | tuple[str, ...] | None = None,
) -> Reader:
    """Make a reader through a torchvision class that takes a loader: given `str`, it gives paths and decodes nothing.

    `base` is its folder below the root, and `needs` names what must lie in it for a split to be there. Its class names
    are looked up in `known` class folders, so that labels stay where classes are missing; its labels number `known`
    names; without `known` its own names are taken.
    """

    def read(split: str, root: Path) -> Pictures | None:
        folder = root / base
        if not all((folder / need).is_file() or (folder / need).is_dir() for need in needs[split]):
            return None
        with _of_torchvision(kind, root) as theirs:
            rows = theirs(str(root), loader=str, **options[split])
            found = [rows[row] for row in range(len(rows))]
            pairs = [(Path(path).relative_to(folder).as_posix(), int(label)) for path, label in found]
        if isinstance(known, ClassFolders):
            ours = [known.label(name, folder) for name in rows.classes]
            return _those_here(folder, [(path, ours[label]) for path, label in pairs], known.names)
        names = known or tuple(map(readable, rows.classes))
        _check_labels((label for _, label in pairs), names, f"{root}: torchvision's {kind}")
        return _those_here(folder, pairs, names)

    return read


def food101(known: ClassFolders) -> Reader:
    """Make a reader of `food-101`: its lists say which images of each class are of a split."""

    def read(split: str, root: Path) -> Pictures | None:
        folder, index = root / "food-101", root / "food-101" / "meta" / f"{split}.json"
        if not (folder / "images").exists() or not index.exists():
            return None
        listing = read_object(index, DataError, str(index))
        rows = []
        for name, paths in listing.items():
            label = known.label(name, folder)
            if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
                raise DataError(f"{index}: {quoted(name)}: expected a list of images, got {quoted(paths)}")
            rows += [(f"images/{path}.jpg", label) for path in paths]
        return _those_here(folder, rows, known.names)

    return read


def arrays(kind: str, base: str, needs: Mapping[str, str], options: Options, names: tuple[str, ...]) -> Reader:
    """Make a reader through a torchvision class that holds all pixels: `data`, and `targets` or `labels`."""

    def read(split: str, root: Path) -> Pictures | None:
        if not (root / needs[split]).is_file():
            return None
        import numpy as np

        with _of_torchvision(kind, root / base) as theirs:
            rows = theirs(str(root / base), **options[split])
            pixels = np.asarray(rows.data)
            if pixels.ndim == 4:  # SVHN has the channels first
                pixels = pixels.transpose(0, 2, 3, 1)
            labels = np.asarray(rows.targets if hasattr(rows, "targets") else rows.labels).astype(np.int64)
            if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or labels.shape != (len(pixels),):
                raise ValueError(f"pixels {pixels.dtype} {pixels.shape} with labels {labels.shape}")
        _check_labels(labels.tolist(), names, f"{root / base}: torchvision's {kind}")
        return Pictures(
            ArrayPictures(np.ascontiguousarray(pixels)),
            tuple(f"{split}/{row:05d}" for row in range(len(pixels))),
            labels,
            names,
        )

    return read


def folder_tree(place: str, known: ClassFolders) -> Reader:
    """Make a reader of class folders that torchvision would count through, so that parts of a set can be read."""

    def read(split: str, root: Path) -> Pictures | None:
        return class_folders(root / place, known) if (root / place).is_dir() else None

    return read


def caltech256(split: str, root: Path) -> Pictures | None:
    """Read folders such as `015.bonsai-101`, which is named bonsai; `257.clutter` is passed over."""
    for place in ("caltech256/256_ObjectCategories", "caltech256/test", "caltech256"):
        folder = root / place
        folders = sorted(item.name for item in folder.glob("[0-9][0-9][0-9].*")) if folder.is_dir() else []
        if folders:
            break
    else:
        return None
    kept = tuple(name for name in folders if name != "257.clutter")
    names = tuple(readable(name).removesuffix("-101").replace("-", " ") for name in kept)
    found = class_folders(folder, ClassFolders(kept, names, ignored=("257.clutter",)))
    if len(kept) == 256:
        return found
    return replace(found, notes=(f"{len(kept)} of the 256 classes are here, and labels count these alone",))


def oxford_pets(known: ClassFolders) -> Reader:
    """Make a reader of `oxford-iiit-pet`: lines `<breed>_<number> ...` in annotations, pictures in images."""

    def read(split: str, root: Path) -> Pictures | None:
        base = root / "oxford-iiit-pet"
        index = base / "annotations" / {"train": "trainval.txt", "test": "test.txt"}[split]
        if not index.is_file() or not (base / "images").is_dir():
            return None
        names = [line.split()[0] for line in read_lines(index)]
        rows = [(f"images/{name}.jpg", known.label(name.rpartition("_")[0], index)) for name in names]
        return _those_here(base, rows, known.names)

    return read


def places365(split: str, root: Path) -> Pictures | None:
    """Read `places365`: its categories and lists of images; test is the official validation set."""
    base = root / "places365"
    categories = base / "categories_places365.txt"
    listing, folders = {
        "train": ("places365_train_standard.txt", ("data_256_standard", "data_large_standard")),
        "test": ("places365_val.txt", ("val_256", "val_large")),
    }[split]
    folder = next((folder for folder in folders if (base / folder).is_dir()), None)
    if folder is None or not categories.is_file() or not (base / listing).is_file():
        return None
    numbers = {number: name for name, number in read_imglist(categories)}
    names = tuple(readable(numbers[number].split("/", 2)[-1]) for number in sorted(numbers))
    if sorted(numbers) != list(range(len(names))):
        raise DataError(f"{categories}: expected the numbers 0 to {len(names) - 1}, each once")
    rows = [(f"{folder}/{path.lstrip('/')}", label) for path, label in read_imglist(base / listing)]
    if any(not 0 <= label < len(names) for _, label in rows):
        raise DataError(f"{base / listing}: expected a label from 0 to {len(names) - 1} in each line")
    return _those_here(base, rows, names)


def cub200(split: str, root: Path) -> Pictures | None:
    """Read `CUB_200_2011`: its numbered images, their split and the names of its classes."""
    base = root / "CUB_200_2011"
    indices = [base / f"{name}.txt" for name in ("images", "train_test_split", "classes")]
    if not all(index.is_file() for index in indices):
        return None
    images, splits, folders = (list(_pairs(index)) for index in indices)
    wanted = {number for number, is_train in splits if (is_train.strip() == "1") == (split == "train")}
    known = ClassFolders(tuple(folder for _, folder in folders), tuple(readable(folder) for _, folder in folders))
    rows = [(f"images/{path}", known.label(path.split("/")[0], base)) for number, path in images if number in wanted]
    return _those_here(base, rows, known.names)


def _pairs(index: Path) -> Iterator[tuple[str, str]]:
    """Read lines `number text`; `DataError` names the line that is none."""
    for number, line in enumerate(read_lines(index), 1):
        first, blank, rest = line.partition(" ")
        if not blank:
            raise DataError(f"{index}: line {number}: expected a number and a text, got {shown(line)!r}")
        yield first, rest


def downloader(kind: str, *options: Mapping[str, Any], below: str = "") -> Callable[[Path], None]:
    """Make a download by a torchvision class, which checks the archive against its own checksum."""

    def bring(root: Path) -> None:
        import torchvision

        folder = root / below
        folder.mkdir(parents=True, exist_ok=True)
        for chosen in options or ({},):
            getattr(torchvision.datasets, kind)(str(folder), download=True, **chosen)

    return bring


@contextmanager
def _of_torchvision(kind: str, root: Path) -> Iterator[Any]:
    """Give a class of torchvision, and turn whatever reading with it runs into into a `DataError`."""
    import torchvision

    try:
        yield getattr(torchvision.datasets, kind)
    except TypeError as error:
        raise DataError(
            f"{root}: torchvision {torchvision.__version__} cannot read {kind} here, or is too old: {one_line(error)}"
        ) from error
    except Exception as error:  # whatever its readers of many formats run into
        raise DataError(f"{root}: torchvision's {kind} cannot read it: {reason(error)}") from error


def _check_labels(labels: Iterable[int], names: Sequence[str], what: str) -> None:
    """Refuse labels that are of no class."""
    wrong = next((label for label in labels if not 0 <= label < len(names)), None)
    if wrong is not None:
        raise DataError(f"{what}: expected labels from 0 to {len(names) - 1}, got {shown(wrong, 40)}")


def _those_here(folder: Path, rows: list[tuple[str, int]], names: tuple[str, ...]) -> Pictures:
    """Take the listed images that are there; `published` says how many are not."""
    here = [row for row, there in zip(rows, present(folder, (path for path, _ in rows)), strict=True) if there]
    if not here:
        raise DataError(
            f"{folder}: none of its {len(rows):,} listed images is there, such as {shown(rows[0][0]) if rows else ''}"
        )
    return labelled(folder, here, names)
