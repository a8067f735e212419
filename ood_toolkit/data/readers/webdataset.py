"""Sets in tar shards, as webdataset and CLIP_benchmark write them; the shards are indexed, nothing is extracted."""

from __future__ import annotations

import glob
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ood_toolkit.api.dataset import SIMPLE, DataSet, Pictures
from ood_toolkit.api.picture import PartPicture
from ood_toolkit.data.readers.imglist import read_lines
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import opened, reason, shown
from ood_toolkit.store.foreign.lines import as_lines, decoded
from ood_toolkit.store.foreign.places import place_of

__all__ = ["index_shard", "shards_of", "webdataset_set"]

SUFFIXES = ("jpg", "jpeg", "png", "webp")
NAMES = "classnames.txt"
TEMPLATES = "zeroshot_classification_templates.txt"
SPLITS = ("train", "val", "test")
LABEL = re.compile("-1|[0-9]{1,9}")
MOST_TEXT = 1 << 24
"""No label or list of names in a shard is longer; a longer one is not read."""


@dataclass
class Shard:
    """What one tar file holds."""

    samples: dict[str, tuple[PartPicture, int | None]] = field(default_factory=dict)
    """Picture and label by key, in the order of the file."""
    captions: dict[str, str] = field(default_factory=dict)
    """What each picture shows, by key, where a `.txt` says it."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """The lines of class names and templates that lie inside."""


def index_shard(path: Path) -> Shard:
    """Find where each picture of an uncompressed tar file lies; read labels and captions; `DataError` if that fails."""
    shard = Shard()
    labels: dict[str, int] = {}
    pictures: dict[str, PartPicture] = {}
    try:
        with opened(path) as file, _tar(file) as tar:
            size = os.fstat(file.fileno()).st_size
            for member in tar:
                _check_member(member, size)
                folder, _, name = member.name.removeprefix("./").rpartition("/")
                stem, _, suffixes = name.partition(".")
                key, suffix = f"{folder}/{stem}" if folder else stem, suffixes.rpartition(".")[2].lower()
                if not member.isfile() or name.startswith("."):
                    continue
                if name in (NAMES, TEMPLATES):
                    shard.texts[name] = as_lines(_text(tar, member))
                elif suffix in SUFFIXES:
                    pictures[key] = PartPicture(str(path), member.offset_data, member.size)
                elif suffix == "cls":
                    labels[key] = _label(_text(tar, member), member)
                elif suffix == "txt":
                    shard.captions[key] = _text(tar, member).strip()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # on a damaged file Python's reader raises whatever its arithmetic runs into
        raise DataError(f"{path}: not a readable, uncompressed tar file: {reason(error)}") from None
    shard.samples = {key: (picture, labels.get(key)) for key, picture in pictures.items()}
    return shard


def shards_of(pattern: str) -> dict[str, list[Path]]:
    """Find the shards by split: of a folder with `test/*.tar` and the like or with `*.tar`, of a glob, of one file."""
    place = place_of(pattern)
    pattern = str(place)
    if place.is_dir():
        found = {split: sorted((place / split).glob("*.tar"), key=_in_order) for split in SPLITS}
        found = {split: files for split, files in found.items() if files}
        if found:
            return found
        pattern = f"{glob.escape(pattern)}/*.tar"
    files = sorted((Path(name) for name in glob.glob(pattern) if name.endswith(".tar")), key=_in_order)
    return {"test": files} if files else {}


def webdataset_set(text: str, name: str) -> DataSet:
    """Make a set of the shards of a folder, a glob or a file, with the class names and templates beside or inside."""
    shards = shards_of(text)
    if not shards:
        raise DataError(f"{name}: no .tar files; expected a folder with test/*.tar or *.tar, a glob or one file")
    first = next(iter(shards.values()))[0]
    texts = dict(_beside(first))
    if NAMES not in texts or TEMPLATES not in texts:
        texts = index_shard(first).texts | texts
    classes = tuple(line.strip() for line in texts.get(NAMES, ()) if line.strip())
    templates = tuple(line.strip().replace("{c}", "{}") for line in texts.get(TEMPLATES, ()) if line.strip())

    def open_shards(split: str, root: Path) -> Pictures:
        if split not in shards:
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(shards)}")
        return _pictures(name, shards[split], classes)

    return DataSet(
        name=name,
        description=f"The tar shards of {Path(text).name}.",
        open=open_shards,
        counts=dict.fromkeys(shards),
        classes=classes,
        class_count=len(classes),
        templates=templates or SIMPLE,
        layout=(f"{text}: [test/]*.tar, {NAMES}, {TEMPLATES}",),
    )


def _pictures(name: str, files: list[Path], classes: tuple[str, ...]) -> Pictures:
    import numpy as np

    rows = [(file.stem, key, *found) for file in files for key, found in index_shard(file).samples.items()]
    if not rows:
        raise DataError(f"{name}: expected samples with {', '.join(SUFFIXES)}, found none")
    missing = next((f"{shard}/{key}" for shard, key, _, label in rows if label is None), None)
    highest = max((label for *_, label in rows if label is not None), default=-1)
    if classes and missing is None and highest >= len(classes):
        raise DataError(f"{name}: label {highest}, but {len(classes)} class names")
    kept = bool(classes) and missing is None
    why = f"{missing} has no .cls" if missing else f"there is no {NAMES}"
    return Pictures(
        items=tuple(picture for _, _, picture, _ in rows),
        ids=tuple(f"{shard}/{key}" for shard, key, _, _ in rows),
        labels=np.array([label for *_, label in rows], dtype=np.int64) if kept else None,
        classes=classes if kept else (),
        notes=() if kept else (f"labels left out: {why}",),
    )


def _beside(shard: Path) -> Iterator[tuple[str, list[str]]]:
    """Read the lists beside a shard or, as CLIP_benchmark has it, one folder above."""
    for name in (NAMES, TEMPLATES):
        for folder in (shard.parent, shard.parent.parent):
            if (folder / name).is_file():
                yield name, read_lines(folder / name)
                break


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    held = tar.extractfile(member) if member.size <= MOST_TEXT else None
    if held is None:
        raise DataError(f"{shown(member.name)}: expected a short text, got {member.size:,} bytes")
    return decoded(held.read(), shown(member.name))


def _tar(file: BinaryIO) -> tarfile.TarFile:
    measured: Any = _Measured(file)
    return tarfile.open(fileobj=measured, mode="r:")


def _label(text: str, member: tarfile.TarInfo) -> int:
    if not LABEL.fullmatch(text.strip()):
        raise DataError(f"{shown(member.name)}: expected a label from -1, got {shown(text.strip(), 40)!r}")
    return int(text)


def _check_member(member: tarfile.TarInfo, size: int) -> None:
    """Refuse a member that is not as long as it says, or whose bytes are not where it says."""
    if member.isreg() and (member.issparse() or member.size < 0 or member.offset_data + member.size > size):
        raise DataError(f"{shown(member.name)}: expected a plain member inside the {size:,} bytes of the file")


class _Measured:
    """A file for Python's tar reader, which trusts what it reads: no long reads, and an end to how many there are."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        self.left = 8 * (self.size // tarfile.BLOCKSIZE) + 64

    def read(self, size: int = -1) -> bytes:
        """Read at most so many bytes."""
        self.left -= 1
        if size > MOST_TEXT + tarfile.BLOCKSIZE or self.left < 0:
            raise OSError("a header that is too long" if self.left >= 0 else "headers that lead in a circle")
        return self.file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        """Go to a place."""
        return self.file.seek(place, whence)

    def tell(self) -> int:
        """Tell the place."""
        return self.file.tell()


def _in_order(file: Path) -> tuple[int, str]:
    """Sort shards 0.tar, 1.tar, ... 10.tar by number."""
    return (int(file.stem) if file.stem.isdecimal() else -1, file.name)
