"""What in a folder belongs to the store: only names that this program gives, in places where it gives them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ood_toolkit.store.foreign.guard import open_regular
from ood_toolkit.store.locks import OWNER, State
from ood_toolkit.store.partial import found_in

__all__ = ["KEY", "PART", "array_files", "foreign", "is_like_store", "is_own", "leftovers", "own_arrays",
           "own_encoding", "own_files"]  # fmt: skip

KEY = "[0-9a-f]{64}"
PART = re.compile(
    r"features|logits|scores|labels|ids|classes|source_names|text|weight|bias|scale|unit_rows|(bank|words)\.[^/]+"
)
"""What arrays an import may have."""
OWN_FILES = {
    "encodings/*/*": rf"encodings/{KEY}/encoder\.json",
    "encodings/*/shards/*": rf"encodings/{KEY}/shards/{KEY}\.safetensors",
    "texts/*": rf"texts/{KEY}\.(texts|json)",
    "models/*": rf"models/{KEY}\.model",
    "negatives/*": rf"negatives/{KEY}\.json",
    "sets/*": r"sets/(?!\._)[^/]+\.listing",
    "names/*/*": r"names/(?!\._)[^/]+/(?!\._)[^/]+\.(train|val|test)\.json",
    "arrays/*/*": rf"arrays/{KEY}/({PART.pattern})\.npy",
    "leases/*": rf"leases/(lock|(arrays|encodings)\.{KEY}\.{OWNER}\.\d+\.[0-9a-f]{{8}})",
}
"""Where files of the store lie, as a glob, and the whole path of such a file, as a pattern."""
OWN_FOLDERS = re.compile(
    rf"encodings|encodings/{KEY}(/shards)?|texts|models|negatives|sets|names(/[^/]+)?|arrays(/{KEY})?|leases"
)
PLACES = ("", "arrays", "names/*", "sets", "texts", "models", "negatives", "encodings/*", "encodings/*/shards")
OLDER = {
    rf"arrays|texts|negatives|encodings/{KEY}/shards": "[0-9a-f]{16}",
    rf"encodings/{KEY}": r"encoder\.json",
    "sets": r"[\w.~%-]{16}|[\w.~%-]{1,7}\.listing",
    "names/[^/]+": r"[\w.~%-]{16}|[\w.~%-]{1,10}\.json",
}
"""What older versions left, by place: a name that began with the first letters of that of the file it was to become."""
RANDOM = r"[a-z0-9_]{8}"
ABANDONED = 3600
"""Seconds after which what an older version was writing is taken for left."""
HASHES = "hashes.sqlite"
DATABASE = b"SQLite format 3\0"


def is_like_store(folder: Path) -> bool:
    """Tell whether a folder holds anything that only a store holds; an empty one does not."""
    return any(True for place in OWN_FILES for _ in own_files(folder, place)) or _is_database(folder / HASHES)


def is_own(store: Path, file: Path) -> bool:
    """Tell whether a file has a name that this program gives in its place."""
    path = file.relative_to(store).as_posix()
    return any(re.fullmatch(pattern, path) for pattern in OWN_FILES.values())


def own_files(store: Path, place: str) -> Iterator[Path]:
    """Give the files in a place, a key of `OWN_FILES`, whose names are ours; folders of such names too."""
    for file in sorted(store.glob(place)):
        if re.fullmatch(OWN_FILES[place], file.relative_to(store).as_posix()):
            yield file


def array_files(folder: Path) -> list[Path]:
    """List the arrays in a folder of imported ones, and nothing else that lies there."""
    return sorted(file for file in folder.iterdir() if file.suffix == ".npy" and PART.fullmatch(file.stem))


def own_arrays(store: Path) -> Iterator[Path]:
    """Give the folders of imported arrays: named by a key, and holding arrays or nothing."""
    for folder in sorted((store / "arrays").glob("[0-9a-f]*")):
        if re.fullmatch(KEY, folder.name) and folder.is_dir() and not folder.is_symlink():
            files = list(folder.iterdir())
            if array_files(folder) or not files:
                yield folder


def own_encoding(folder: Path) -> Iterator[Path]:
    """Give the files of an encoder's folder that this program wrote."""
    store = folder.parents[1]
    for place in ("encodings/*/*", "encodings/*/shards/*"):
        for file in sorted(folder.glob(place.removeprefix("encodings/*/"))):
            if re.fullmatch(OWN_FILES[place], file.relative_to(store).as_posix()):
                yield file


def leftovers(store: Path) -> Iterator[tuple[Path, State]]:
    """Give what runs write or left half-written, in the places where this program writes and nowhere else.

    With each, what is known of its process.
    """
    for place in PLACES:
        for folder in [store] if not place else sorted(store.glob(place)):
            inside = folder.relative_to(store).as_posix()
            if folder.is_symlink() or not folder.is_dir() or (place and not OWN_FOLDERS.fullmatch(inside)):
                continue
            yield from found_in(folder)
            yield from ((path, State.DEAD) for path in sorted(folder.glob(".*")) if _is_of_older(store, path))


def foreign(store: Path) -> Iterator[Path]:
    """Give what lies in the store's own folders and is not of this program; of a foreign folder, only itself."""
    for top in ("arrays", "encodings", "leases", "models", "names", "negatives", "sets", "texts"):
        for place, folders, files in os.walk(store / top):
            here = Path(place)
            partial = {path.name for path, _ in found_in(here)}
            strange = [name for name in folders if not _is_own_folder(store, here / name)]
            folders[:] = sorted(set(folders) - set(strange))
            for name in sorted([*strange, *files]):
                path = here / name
                if (
                    name.removesuffix(".lock") not in partial
                    and not is_own(store, path)
                    and not _is_of_older(store, path)
                ):
                    yield path


def _is_own_folder(store: Path, folder: Path) -> bool:
    inside = folder.relative_to(store).as_posix()
    return OWN_FOLDERS.fullmatch(inside) is not None and not folder.is_symlink() and not folder.name.startswith("._")


def _is_of_older(store: Path, path: Path) -> bool:
    """Tell whether an older version, which had no locks, began to write this, an hour ago or more."""
    place = path.parent.relative_to(store).as_posix()
    starts = [start for folder, start in OLDER.items() if re.fullmatch(folder, place)]
    if not any(re.fullmatch(rf"\.({start}|oodkit-partial)\.{RANDOM}", path.name) for start in starts):
        return False
    try:
        return time.time() - path.lstat().st_mtime > ABANDONED
    except OSError:
        return False


def _is_database(file: Path) -> bool:
    """Tell whether a file is a database of hashes, as `Memory` makes it."""
    try:
        with open_regular(file) as content:
            start = content.read(8192)
    except OSError:
        return False
    return start.startswith(DATABASE) and b"hashes (path text primary key" in start
