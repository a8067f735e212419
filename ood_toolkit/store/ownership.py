"""What in a folder belongs to the store: only names that this program gives, in places where it gives them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ood_toolkit.errors import StoreError

__all__ = ["check_store", "is_store", "leftovers", "own_arrays", "own_encoding"]

KEY = "[0-9a-f]{64}"
OWN_FILES = {
    "encodings/*/*": rf"encodings/{KEY}/encoder\.json",
    "encodings/*/shards/*": rf"encodings/{KEY}/shards/{KEY}\.safetensors",
    "texts/*": rf"texts/{KEY}\.(texts|json)",
    "negatives/*": rf"negatives/{KEY}\.json",
    "sets/*": r"sets/(?!\._)[^/]+\.listing",
    "names/*/*": r"names/(?!\._)[^/]+/(?!\._)[^/]+\.(train|val|test)\.json",
    "arrays/*/*": rf"arrays/{KEY}/[a-z_]+\.npy",
}
"""Where files of the store lie, as a glob, and the whole path of such a file, as a pattern."""
PLACES = ("arrays", "names/*", "sets", "texts", "negatives", "encodings/*", "encodings/*/shards")
LEFT = re.compile(r"\.(?:oodkit-partial\.|.{1,16}\.)[a-z0-9_]{8}")
"""A file or folder that was being written; older versions began its name with that of the file it was to become."""
HASHES = "hashes.sqlite"


def is_store(folder: Path) -> bool:
    """Tell whether a folder holds anything that only a store holds; an empty one does not."""
    return any(True for _ in _own_files(folder)) or (folder / HASHES).is_file()


def check_store(folder: Path) -> None:
    """Refuse, with a `StoreError`, to delete in a folder that is not recognised as a store."""
    if not is_store(folder):
        raise StoreError(
            f"{folder} is no store of oodkit, so nothing in it is deleted; --store or OODKIT_STORE names one"
        )


def leftovers(store: Path) -> Iterator[Path]:
    """Give what killed runs left half-written, in the places where this program writes and nowhere else."""
    for place in PLACES:
        for folder in sorted(store.glob(place)):
            if not _is_own_place(folder.relative_to(store).as_posix()) or folder.is_symlink():
                continue
            yield from (path for path in sorted(folder.glob(".*")) if LEFT.fullmatch(path.name))


def own_arrays(store: Path) -> Iterator[Path]:
    """Give the folders of imported arrays: named by a key, and holding nothing but arrays."""
    for folder in sorted((store / "arrays").glob("[0-9a-f]*")):
        if re.fullmatch(KEY, folder.name) and folder.is_dir() and not folder.is_symlink():
            files = [file.relative_to(store).as_posix() for file in folder.iterdir()]
            if all(re.fullmatch(OWN_FILES["arrays/*/*"], file) for file in files):
                yield folder


def own_encoding(folder: Path) -> Iterator[Path]:
    """Give the files of an encoder's folder that this program wrote."""
    store = folder.parents[1]
    for place in ("encodings/*/*", "encodings/*/shards/*"):
        inside = place.removeprefix("encodings/*/")
        for file in sorted(folder.glob(inside)):
            if re.fullmatch(OWN_FILES[place], file.relative_to(store).as_posix()):
                yield file


def _is_own_place(place: str) -> bool:
    """Tell whether a folder below `encodings` is named by a key; the other places have fixed names."""
    return not place.startswith("encodings/") or re.match(rf"encodings/{KEY}(/shards)?$", place) is not None


def _own_files(store: Path) -> Iterator[Path]:
    for place, pattern in OWN_FILES.items():
        for file in store.glob(place):
            if re.fullmatch(pattern, file.relative_to(store).as_posix()):
                yield file
