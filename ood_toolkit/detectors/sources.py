"""Where `oodkit predict` takes its rows from: picture files, folders, lists, data sets, files of embeddings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ood_toolkit.api.dataset import Pictures
from ood_toolkit.api.picture import FilePicture, Picture
from ood_toolkit.api.spec import nearest
from ood_toolkit.data.readers.below import walk_below
from ood_toolkit.data.readers.suffixes import is_picture
from ood_toolkit.detectors.inputs import as_matrix
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.arrays import listed, mapped_npy, read_npz, texts
from ood_toolkit.store.foreign.batches import Batches
from ood_toolkit.store.foreign.guard import shown
from ood_toolkit.store.foreign.places import place_of

__all__ = ["Hashed", "PictureSource", "RowSource", "Source", "row_key", "sources_of"]

ROWS = 4096
"""Rows of a file of embeddings that are read together."""
COLUMNS = ("embedding", "embeddings", "features", "feature", "logits", "vector")
NAMES = ("id", "ids", "path", "paths", "file", "files", "url")
TEXTUAL = ("string", "large_string", "string_view", "binary", "large_binary", "int16", "int32", "int64", "uint64")
"""Types of Parquet columns that names of rows may have."""
OPENED: dict[str, str] = {".npz": "npz", ".npy": "npy", ".parquet": "parquet"}


@dataclass(eq=False)
class Hashed(Picture):
    """A picture that remembers the SHA-256 of its bytes once they were read."""

    inner: Picture
    key: str = ""

    def read(self) -> bytes:
        """Read the bytes."""
        content = self.inner.read()
        self.key = hashlib.sha256(content).hexdigest()
        return content

    def decode(self, content: bytes, least: int | None = None) -> Any:
        """Decode as the picture inside does."""
        return self.inner.decode(content, least)


@dataclass(frozen=True)
class PictureSource:
    """Pictures, each with its name, found while they are walked."""

    walk: Callable[[], Iterator[tuple[str, Picture]]]
    count: int | None = None


@dataclass(frozen=True)
class RowSource:
    """Features (n, d), or logits (n, k), in chunks, each with the names of its rows."""

    walk: Callable[[], Iterator[tuple[Sequence[str], Tensor]]]
    is_features: bool | None = None
    """None: what has the width of the features is taken for features."""
    count: int | None = None


Source = PictureSource | RowSource


@dataclass(frozen=True)
class Finder:
    """What a word that is no path may mean."""

    dataset: Callable[[str], Pictures | None]
    """Opens the pictures of a data set by its name."""
    arrays: Callable[[str], dict[str, np.ndarray] | None]
    """Opens the arrays that were imported under a name and the detector's model."""
    known: Callable[[], Iterable[str]] = field(default=tuple)


def sources_of(words: Sequence[str], stdin: Iterable[str], finder: Finder, column: str | None = None) -> list[Source]:
    """Find what each word means, `-` being a list of paths; `DataError` for one that means nothing, or for none."""
    found = [_source(word, stdin, finder, column) for word in words]
    if not found:
        raise DataError("expected at least one path, folder, data set, or - for a list on stdin")
    return found


def _source(word: str, stdin: Iterable[str], finder: Finder, column: str | None) -> Source:
    path = place_of(word)
    if word == "-":
        return PictureSource(lambda: _listed(stdin))
    if path.is_dir():
        if next(_below(path), None) is None:
            raise DataError(f"{word}: expected pictures below this folder, by the ends of their names, found none")
        return PictureSource(lambda: _below(path))
    if path.is_file():
        kind = OPENED.get(path.suffix.lower())
        if kind is None:
            return PictureSource(lambda: iter([(word, FilePicture(word))]), 1)
        return {"npz": _npz, "npy": _npy, "parquet": _parquet}[kind](path, column)
    if path.exists():
        raise DataError(f"{word}: it is a pipe or device; expected a file or a folder, or - for a list on stdin")
    arrays = finder.arrays(word)
    if arrays is not None:
        return _of_arrays(arrays, word)
    pictures = finder.dataset(word)
    if pictures is not None:
        named = [f"{word}/{name}" for name in pictures.ids]
        return PictureSource(lambda: zip(named, pictures.items, strict=True), len(named))
    hint = nearest(word, finder.known())
    close = f"; {hint}" if hint.startswith("did you mean") else ""
    raise DataError(f"{word}: no such file or folder, and no data set of that name{close}")


def _listed(lines: Iterable[str]) -> Iterator[tuple[str, Picture]]:
    for line in lines:
        if path := line.removesuffix("\n").removesuffix("\r"):  # also of lists that were written under Windows
            yield path, FilePicture(path)


def _below(folder: Path) -> Iterator[tuple[str, Picture]]:
    """Walk the pictures below a folder, folder by folder, in the order of their names."""
    for place, files in walk_below(folder):
        for name in files:
            if is_picture(name):
                path = os.path.join(place, name)
                yield path, FilePicture(path)


def _npz(path: Path, column: str | None) -> RowSource:
    arrays: Mapping[str, np.ndarray] = read_npz(path)
    if column is not None:
        if column not in arrays:
            raise DataError(f"{path}: has no array {column!r}; it has {listed(arrays)}")
        arrays = {"features": arrays[column], **{k: arrays[k] for k in NAMES if k in arrays}}
    return _of_arrays(arrays, str(path))


def _of_arrays(arrays: Mapping[str, np.ndarray], what: str) -> RowSource:
    name = next((key for key in ("embeddings", "features", "logits") if key in arrays), None)
    if name is None:
        raise DataError(f"{what}: expected embeddings, features or logits, got {listed(arrays)}")
    return _of_matrix(arrays[name], what, arrays, None if name != "logits" else False)


def _of_matrix(
    array: Any, what: str, beside: Mapping[str, np.ndarray] | None = None, is_features: bool | None = None
) -> RowSource:
    if array.ndim != 2:
        raise DataError(f"{what}: expected rows (n, d), got shape {tuple(array.shape)}")
    if not len(array):
        raise DataError(f"{what}: expected at least one row, got none")
    ids = _ids(beside or {}, len(array), what)

    def walk() -> Iterator[tuple[Sequence[str], Tensor]]:
        for start in range(0, len(array), ROWS):
            part = array[start : start + ROWS]
            rows = range(start, start + len(part))
            yield [str(ids[row]) if ids is not None else f"{what}#{row}" for row in rows], as_matrix(part, what)

    return RowSource(walk, is_features, len(array))


def _ids(arrays: Mapping[str, np.ndarray], count: int, what: str) -> np.ndarray | None:
    """Take the names of rows from the first array of such a name that has one for each."""
    for key in NAMES:
        if key in arrays and arrays[key].shape[:1] == (count,):
            return texts(arrays[key], f"{what}: {key}")
    return None


def _npy(path: Path, column: str | None) -> RowSource:
    return _of_matrix(mapped_npy(path), str(path))


def _parquet(path: Path, column: str | None) -> RowSource:
    held = Batches(path)
    lists = [name for name, kind in held.kinds.items() if "list" in str(kind)]
    chosen = column or next((name for name in COLUMNS if name in lists), lists[0] if len(lists) == 1 else None)
    if chosen not in held.kinds:
        names = ", ".join(shown(name, 40) for name in held.kinds)
        raise DataError(f"{path}: expected a column of vectors, got {names}; name one with --column")
    if not held.count:
        raise DataError(f"{path}: expected at least one row, got none")
    named = next((name for name in NAMES if name in held.kinds and str(held.kinds[name]) in TEXTUAL), None)

    def walk() -> Iterator[tuple[Sequence[str], Tensor]]:
        done = 0
        for batch in held.walk([name for name in (chosen, named) if name], ROWS):
            said = [None] * len(batch) if named is None else batch.column(named).to_pylist()
            ids = [f"{path}#{done + row}" if one is None else _text(one, path, named) for row, one in enumerate(said)]
            yield ids, as_matrix(batch.column(chosen), f"{path}: {chosen}")
            done += len(batch)

    return RowSource(walk, False if chosen == "logits" else None, held.count)


def _text(one: object, path: Path, column: str | None) -> str:
    if not isinstance(one, bytes):
        return str(one)
    try:
        return one.decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: {column}: expected text or bytes in UTF-8, got {shown(one, 40)}") from None


def row_key(row: np.ndarray) -> str:
    """Give the SHA-256 of a row's bytes."""
    return hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest()
