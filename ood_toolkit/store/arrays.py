"""The arrays of one import, in a folder that is named after the hash of all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.foreign.guard import guarded, open_regular
from ood_toolkit.store.hashes import Memory, stamp_of
from ood_toolkit.store.ownership import PART, array_files
from ood_toolkit.store.partial import move_aside

__all__ = ["check_parts", "clear", "content_key", "forget", "is_whole", "read_arrays"]

FORMAT = 1
PIECE = 1 << 24
"""Bytes that are hashed at a time of an array that does not lie in memory as it is hashed."""


@dataclass(frozen=True)
class _Among:
    """An array as one of those that a folder held when it was hashed."""

    file: Path
    part: str


def check_parts(names: Iterable[str]) -> None:
    """Refuse, with a `StoreError`, an array under a name that a store does not know."""
    for name in names:
        if not PART.fullmatch(name):
            raise StoreError(f"array {name!r}: expected a name of those that an import may have ({PART.pattern})")


def content_key(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash names, types, shapes and bytes of arrays."""
    digest = hashlib.sha256(f"arrays {FORMAT}".encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        if array.dtype.kind == "U" or not array.ndim:
            digest.update(array.tobytes())
            continue
        step = len(array) if array.flags.c_contiguous else max(1, PIECE // max(1, array[:1].nbytes))
        for start in range(0, len(array), max(1, step)):
            digest.update(np.ascontiguousarray(array[start : start + step]).data)
    return digest.hexdigest()


def is_whole(folder: Path, key: str) -> bool:
    """Tell whether the arrays in a folder are those of its key."""
    try:
        return content_key(_mapped(array_files(folder))) == key
    except (OSError, ValueError):
        return False


def clear(folder: Path) -> None:
    """Delete the arrays in a folder, and the folder unless something else lies in it; nobody sees half of them."""
    files = array_files(folder)
    if len(files) == len(list(folder.iterdir())):
        move_aside(folder)
        return
    for file in files:
        file.unlink(missing_ok=True)


def read_arrays(store: Path, key: str) -> dict[str, np.ndarray]:
    """Map the arrays of a key, strings are read; `OSError` or `ValueError` where they are gone or have changed.

    They are hashed, unless all of their files are as they were when they had this hash.
    """
    files = array_files(store / "arrays" / key)
    memory = _memory(store)
    try:
        items, wanted = _items(files), bytes.fromhex(key)
        if memory is not None and items and all(held == wanted for held in memory.recall(items)):
            return _mapped(files)
        stamps = [stamp_of(file) for file in files]
        arrays = _mapped(files)
        if content_key(arrays) != key:
            raise ValueError("they are not those that were imported")
        if memory is not None:
            seen = zip(items, stamps, strict=True)
            memory.remember((item, stamp, wanted) for item, stamp in seen if stamp is not None)
        return arrays
    finally:
        if memory is not None:
            memory.close()


def forget(store: Path, key: str) -> None:
    """Have the arrays of a key hashed when they are read next, whatever the stamps of their files say."""
    memory = _memory(store)
    if memory is not None:
        files = array_files(store / "arrays" / key)
        stamps = [stamp_of(file) for file in files]
        seen = zip(_items(files), stamps, strict=True)
        memory.remember((item, stamp, b"") for item, stamp in seen if stamp is not None)
        memory.close()


def _items(files: Sequence[Path]) -> list[_Among]:
    among = f" among {', '.join(file.stem for file in files)}"
    return [_Among(file, among) for file in files]


def _memory(store: Path) -> Memory | None:
    """Open what is remembered of files; None in a store that cannot be written, where arrays are hashed each time."""
    try:
        return Memory(store)
    except StoreError:
        return None


def _mapped(files: Iterable[Path]) -> dict[str, np.ndarray]:
    return {file.stem: _open(file) for file in files}


def _open(file: Path) -> np.ndarray:
    with guarded(file.name, "an array"):
        open_regular(file).close()  # a pipe would be waited for
        array = np.lib.format.open_memmap(file, mode="r")
        return array if array.dtype.kind in "fiub" and array.ndim else np.array(array)
