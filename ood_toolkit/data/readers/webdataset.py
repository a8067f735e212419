"""Sets in tar shards, as webdataset and CLIP_benchmark write them; the shards are indexed, nothing is extracted."""

from __future__ import annotations

import glob
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from ood_toolkit.api.dataset import SIMPLE, DataSet, Pictures
from ood_toolkit.api.picture import PartPicture
from ood_toolkit.data.readers.imglist import read_lines
from ood_toolkit.data.readers.samples import TarMember, TarShard, grouped, notes_of
from ood_toolkit.data.readers.splits import named_splits
from ood_toolkit.data.readers.suffixes import counted, suffix_of
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import open_regular, reason, shown
from ood_toolkit.store.foreign.lines import as_lines, decoded
from ood_toolkit.store.foreign.places import place_of

__all__ = ["index_shard", "shards_of", "webdataset_set"]

NAMES = "classnames.txt"
TEMPLATES = "zeroshot_classification_templates.txt"
LABEL = re.compile("-1|[0-9]{1,9}")
MOST_TEXT = 1 << 24
"""No label or list of names in a shard is longer; a longer one is not read."""


def index_shard(path: Path) -> TarShard:
    """Find where each picture of an uncompressed tar file lies; read labels and captions; `DataError` if that fails.

    A name that is there twice is an error, as in webdataset: one of the two would be lost.
    """
    members: dict[str, TarMember] = {}
    labels: dict[str, int] = {}
    captions: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    bad_label = ""
    try:
        with open_regular(path) as file, _tar(file) as tar:
            size = os.fstat(file.fileno()).st_size
            for member in tar:
                _check_member(member, size)
                full = member.name.removeprefix("./")
                name = full.rpartition("/")[2]
                if not member.isfile() or name.startswith("."):
                    continue
                if name in (NAMES, TEMPLATES):
                    texts[name] = as_lines(_text(tar, member))
                    continue
                if full in members:
                    raise DataError(f"{shown(full)} is there twice, and one of the two would be lost; name them apart")
                found = members[full] = TarMember(full, PartPicture(str(path), member.offset_data, member.size))
                if suffix_of(full) == "cls":
                    text = _text(tar, member).strip().removeprefix("\ufeff")
                    if LABEL.fullmatch(text):
                        labels[found.stem] = int(text)
                    else:
                        bad = f"{shown(full)} holds {shown(text, 40)!r}, expected a label from -1"
                        bad_label = bad_label or bad
                elif suffix_of(full) == "txt":
                    captions[found.stem] = _text(tar, member).strip().removeprefix("\ufeff")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # on a damaged file Python's reader raises whatever its arithmetic runs into
        raise DataError(f"{path}: not a readable, uncompressed tar file: {reason(error)}") from None
    shard = grouped(list(members.values()), labels, captions)
    shard.texts, shard.bad_label = texts, bad_label
    return shard


def shards_of(pattern: str) -> dict[str, list[Path]]:
    """Find the shards by split: of a folder with `test/*.tar` and the like or with `*.tar`, of a glob, of one file."""
    place = place_of(pattern)
    pattern = str(place)
    if os.path.isdir(place):
        holding = sorted({file.parent.name for file in place.glob("*/*.tar")})
        named = named_splits(holding, str(place))
        found = {split: sorted((place / folder).glob("*.tar"), key=_in_order) for split, folder in named.items()}
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
    stray = _stray(text, shards)
    first = next(iter(shards.values()))[0]
    texts = dict(_beside(first))
    if NAMES not in texts or TEMPLATES not in texts:
        texts = index_shard(first).texts | texts
    classes = tuple(line.strip() for line in texts.get(NAMES, ()) if line.strip())
    templates = tuple(line.strip().replace("{c}", "{}") for line in texts.get(TEMPLATES, ()) if line.strip())

    def open_shards(split: str, root: Path) -> Pictures:
        if split not in shards:
            raise DataError(f"{name} has no split {split!r}: use {' or '.join(shards)}")
        made = _pictures(name, shards[split], classes)
        return replace(made, notes=(*made.notes, *stray)) if split == list(shards)[-1] else made

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

    shards = [(file.stem, index_shard(file)) for file in files]
    rows = [(f"{shard}/{key}", *found) for shard, held in shards for key, found in held.samples.items()]
    if not rows:
        raise DataError(f"{name}: expected samples with pictures, found none{_instead(shards)}")
    labels = [label for *_, label in rows]
    highest = max((label for label in labels if label is not None), default=-1)
    bad = next((f"{shard}: {held.bad_label}" for shard, held in shards if held.bad_label), "")
    if classes and bad:
        raise DataError(f"{name}: {bad}; write the place of the class in {NAMES}, counted from 0")
    if classes and highest >= len(classes):
        raise DataError(f"{name}: label {highest}, but {len(classes)} class names")
    lacking = [identity for identity, _, label in rows if label is None]
    nameless = "" if classes else f"there is no {NAMES}"
    why = bad or (f"{lacking[0]} has no .cls" if lacking and highest < 0 else nameless)
    notes = notes_of(shards)
    if lacking and not why:
        notes.append(f"{len(lacking):,} of {len(rows):,} samples have no .cls and get label -1, such as {lacking[0]}")
    return Pictures(
        items=tuple(picture for _, picture, _ in rows),
        ids=tuple(identity for identity, *_ in rows),
        labels=None if why else np.array([-1 if label is None else label for label in labels], dtype=np.int64),
        classes=() if why else classes,
        notes=(*([f"labels left out: {why}"] if why else []), *notes),
        unlabelled=why,
    )


def _instead(shards: list[tuple[str, TarShard]]) -> str:
    """Say what lies where pictures were expected."""
    others = [name for _, held in shards for name in (*held.without_picture, *held.others)]
    return f"; there are members with other names ({counted(others)})" if others else ""


def _stray(text: str, shards: dict[str, list[Path]]) -> tuple[str, ...]:
    """Say which shards of a folder are in no split."""
    place = place_of(text)
    if not place.is_dir():
        return ()
    taken = {file for files in shards.values() for file in files}
    left = [file for file in sorted((*place.glob("*.tar"), *place.glob("*/*.tar"))) if file not in taken]
    if not left:
        return ()
    which = "shard is" if len(left) == 1 else "shards are"
    return (f"{len(left)} {which} left out, in no split: such as {left[0].relative_to(place)}",)


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
