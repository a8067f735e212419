"""Imported arrays: keyed by the hash of their content, found by model label, set name and split."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.file_names import file_name, given_name, is_short, unescaped
from ood_toolkit.store.files import replaced_file, replaced_folder
from ood_toolkit.store.foreign.objects import read_object

__all__ = ["Entry", "Imports", "is_whole"]

SPLITS = ("train", "val", "test")
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """What one name stands for."""

    model: str
    name: str
    split: str
    key: str
    """SHA-256 of the content."""
    source: str
    """Names of the files that it came from."""
    rows: int
    """How many images."""


class Imports:
    """The imported arrays of a store folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        name: str,
        model: str,
        split: str,
        arrays: Mapping[str, np.ndarray],
        source: str,
        *,
        replace: bool = False,
    ) -> Entry:
        """Keep arrays under their hash and point the name at them; another content needs `replace`."""
        for what, text in (("set", name), ("model", model)):
            if text.strip() in ("", ".", "..") or set(text) & set(",="):
                raise StoreError(f"{what} name: expected a word without comma or equals sign, got {text!r}")
        key = _content_key(arrays)
        entry = Entry(model, name, split, key, source, _rows(arrays))
        held = None if replace else self.find(name, model, split)
        if held is not None and held.key != key:
            raise StoreError(
                f"{name} ({split}) of model {model!r} is already in the store with other content, from {held.source}; "
                "pass --replace to point the name at the new arrays, or another --model"
            )
        folder = self._content(key)
        if folder.is_dir() and not is_whole(folder, key):
            shutil.rmtree(folder)
        if not folder.is_dir():
            with replaced_folder(folder) as partial:
                for part, array in arrays.items():
                    np.save(partial / f"{part}.npy", array, allow_pickle=False)
        with replaced_file(self._alias(name, model, split)) as file:
            said = {"key": key, "source": source, "rows": entry.rows}
            file.write_text(json.dumps({"format": FORMAT, **_long(name, model, split), **said}) + "\n")
        return entry

    def find(self, name: str, model: str, split: str) -> Entry | None:
        """Give the entry of that name, or None."""
        file = self._alias(name, model, split)
        try:
            held = json.loads(file.read_text())
            return Entry(model, name, split, str(held["key"]), str(held["source"]), int(held["rows"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            raise StoreError(f"{file}: damaged entry ({error}); import {name} again with --replace") from None

    def entries(self) -> list[Entry]:
        """List all entries by model, name and split."""
        found = []
        for file in sorted((self.folder / "names").glob("*/*.json")):
            if file.name.startswith("._"):  # what macOS writes beside a file
                continue
            name, _, split = file.stem.rpartition(".")
            if (entry := self.find(*_named(file, name), split)) is not None:
                found.append(entry)
        return found

    def models_of(self, names: Iterable[str], splits: Collection[str] = ("test",)) -> list[str]:
        """List the model labels under which all of these sets have one of the splits, by default test."""
        held = [{e.model for e in self.entries() if e.name == name and e.split in splits} for name in names]
        return sorted(set.intersection(*held)) if held else []

    def read(self, entry: Entry) -> dict[str, np.ndarray]:
        """Open the arrays of an entry as memory maps; strings are read."""
        folder = self._content(entry.key)
        try:
            return {f.stem: _open(f) for f in sorted(folder.iterdir())}
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{entry.name} ({entry.split}): its arrays are damaged or gone ({error}); import them again"
            ) from None

    def _alias(self, name: str, model: str, split: str) -> Path:
        return self.folder / "names" / file_name(model) / file_name(name, f".{split}.json")

    def _content(self, key: str) -> Path:
        return self.folder / "arrays" / key


def _long(name: str, model: str, split: str) -> dict[str, str]:
    """Return what cannot be read off the names of file and folder, as they are hashed."""
    return {} if is_short(name, f".{split}.json") and is_short(model) else {"name": name, "model": model}


def _named(file: Path, stem: str) -> tuple[str, str]:
    """Return name and model label of an entry by its file."""
    name, model = given_name(stem), given_name(file.parent.name)
    if name is not None and model is not None:
        return name, model
    try:
        held = read_object(file, StoreError)
        return str(held["name"]), str(held["model"])
    except (StoreError, KeyError):
        return unescaped(stem), unescaped(file.parent.name)


def _rows(arrays: Mapping[str, np.ndarray]) -> int:
    return next(len(arrays[part]) for part in ("features", "logits", "scores") if part in arrays)


def _open(file: Path) -> np.ndarray:
    array = np.lib.format.open_memmap(file, mode="r")
    return array if array.dtype.kind in "fiub" and array.ndim else np.array(array)


def is_whole(folder: Path, key: str) -> bool:
    """Tell whether the arrays in a folder are those of its key."""
    try:
        return _content_key({file.stem: _open(file) for file in folder.iterdir()}) == key
    except (OSError, ValueError):
        return False


def _content_key(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(f"arrays {FORMAT}".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes() if array.dtype.kind == "U" or not array.ndim else array.data)
    return digest.hexdigest()
