"""Imported arrays: keyed by the hash of their content, found by model label, set name and split."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.arrays import check_parts, clear, content_key, is_whole, read_arrays
from ood_toolkit.store.file_names import file_name, given_name, is_short, unescaped
from ood_toolkit.store.files import replaced_file, replaced_folder
from ood_toolkit.store.foreign.guard import read_bytes, reason
from ood_toolkit.store.foreign.objects import LARGEST
from ood_toolkit.store.leases import lent
from ood_toolkit.store.ownership import KEY, own_files

__all__ = ["Entry", "Imports"]

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
        check_parts(arrays)
        key = content_key(arrays)
        entry = Entry(model, name, split, key, source, _rows(arrays))
        held = None if replace else self.find(name, model, split)
        if held is not None and held.key != key:
            raise StoreError(
                f"{name} ({split}) of model {model!r} is already in the store with other content, from {held.source}; "
                "pass --replace to point the name at the new arrays, or another --model"
            )
        with lent(self.folder, f"arrays/{key}"):
            self._write(key, arrays)
            with replaced_file(self._alias(name, model, split)) as file:
                said = {"key": key, "source": source, "rows": entry.rows}
                file.write_text(json.dumps({"format": FORMAT, **_long(name, model, split), **said}) + "\n")
        return entry

    def _write(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Write arrays into the folder of their key, unless it has them; damaged ones make place."""
        folder = self._content(key)
        if folder.is_dir() and is_whole(folder, key):
            return
        with replaced_folder(folder) as partial:
            for part, array in arrays.items():
                np.save(partial / f"{part}.npy", array, allow_pickle=False)
            if folder.is_dir() and not is_whole(folder, key):
                clear(folder)
                for file in list(partial.iterdir()) if folder.is_dir() else ():  # beside what is foreign
                    file.replace(folder / file.name)

    def find(self, name: str, model: str, split: str) -> Entry | None:
        """Give the entry of that name, or None."""
        file = self._alias(name, model, split)
        held = _read(file)
        if held is None:
            return None
        return Entry(model, name, split, held["key"], str(held["source"]), int(held["rows"]))

    def place(self, entry: Entry) -> Path:
        """Name the file that says what an entry stands for."""
        return self._alias(entry.name, entry.model, entry.split)

    def has_scores(self, entry: Entry) -> bool:
        """Tell whether ready scores are what was imported; nothing is read."""
        return (self._content(entry.key) / "scores.npy").is_file()

    def scored_only(self, names: Collection[str]) -> set[str]:
        """Name the labels under which nothing but ready scores was imported for these sets."""
        mine = [entry for entry in self.entries() if entry.name in names]
        return {one.model for one in mine} - {one.model for one in mine if not self.has_scores(one)}

    def entries(self) -> list[Entry]:
        """List all entries by model, name and split; damaged ones are passed over."""
        found = []
        for file, (name, model, split) in self._named():
            try:
                held = _read(file)
            except StoreError:
                continue
            if held is not None:
                found.append(Entry(model, name, split, held["key"], str(held["source"]), int(held["rows"])))
        return found

    def damaged(self, names: Collection[str] | None = None, model: str | None = None) -> Iterator[tuple[Path, str]]:
        """Give the damaged entries, each with what is wrong; with `names`, those of these sets, of one model or all."""
        for file, (name, label, _) in self._named():
            if (names is None or name in names) and model in (None, label):
                try:
                    _read(file)
                except StoreError as error:
                    yield file, str(error)

    def check(self, names: Collection[str], model: str | None = None) -> None:
        """Refuse, with a `StoreError`, what a damaged entry may be meant by."""
        for _, why in self.damaged(names, model):
            raise StoreError(why)

    def _named(self) -> Iterator[tuple[Path, tuple[str, str, str]]]:
        """Give the files of all entries with name, model label and split; what has no name of ours is passed over."""
        for file in own_files(self.folder, "names/*/*"):
            stem, _, split = file.stem.rpartition(".")
            yield file, (*_names(file, stem), split)

    def models_of(self, names: Iterable[str], splits: Collection[str] = ("test",)) -> list[str]:
        """List the model labels under which all of these sets have one of the splits, by default test."""
        held = [{e.model for e in self.entries() if e.name == name and e.split in splits} for name in names]
        return sorted(set.intersection(*held)) if held else []

    def read(self, entry: Entry) -> dict[str, np.ndarray]:
        """Open the arrays of an entry as memory maps; strings are read.

        They are hashed first, unless their files are as they were when they were hashed last. `StoreError` for arrays
        that are gone, or are not those that were imported.
        """
        try:
            return read_arrays(self.folder, entry.key)
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{entry.name} ({entry.split}): its arrays are damaged or gone ({reason(error)}); import them again"
            ) from None

    def arrays_of(self, name: str, model: str, split: str) -> dict[str, np.ndarray] | None:
        """Open the arrays that a name stands for, as `read` does; None for a name that nothing has.

        Where the name is pointed elsewhere meanwhile, and the arrays deleted, the new ones are opened.
        """
        entry = self.find(name, model, split)
        while entry is not None:
            try:
                return self.read(entry)
            except StoreError:
                now = self.find(name, model, split)
                if now == entry:
                    raise
                entry = now
        return None

    def _alias(self, name: str, model: str, split: str) -> Path:
        return self.folder / "names" / file_name(model) / file_name(name, f".{split}.json")

    def _content(self, key: str) -> Path:
        return self.folder / "arrays" / key


def _long(name: str, model: str, split: str) -> dict[str, str]:
    """Return what cannot be read off the names of file and folder, as they are hashed."""
    return {} if is_short(name, f".{split}.json") and is_short(model) else {"name": name, "model": model}


def _names(file: Path, stem: str) -> tuple[str, str]:
    """Return name and model label of an entry by its file; what was hashed stands in it."""
    name, model = given_name(stem), given_name(file.parent.name)
    if name is not None and model is not None:
        return name, model
    try:
        held = _read(file) or {}
        return str(held["name"]), str(held["model"])
    except (StoreError, KeyError):
        return unescaped(stem), unescaped(file.parent.name)


def _read(file: Path) -> dict[str, Any] | None:
    """Read what an entry says, None where there is no such file; `StoreError` for a damaged one."""
    try:
        held = json.loads(read_bytes(file, LARGEST))
        if not re.fullmatch(KEY, held["key"]):
            raise ValueError("its key is none")
        str(held["source"]), int(held["rows"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        name = unescaped(file.stem.rpartition(".")[0])
        raise StoreError(f"{file}: damaged entry ({reason(error)}); import {name} again with --replace") from None
    return dict(held)


def _rows(arrays: Mapping[str, np.ndarray]) -> int:
    return next(len(arrays[part]) for part in ("features", "logits", "scores") if part in arrays)
