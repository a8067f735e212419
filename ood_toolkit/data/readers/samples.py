"""`TarShard`: the pictures of a tar shard with their labels, found by the names of its members; none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ood_toolkit.api.picture import PartPicture
from ood_toolkit.data.readers.suffixes import counted, is_picture, suffix_of

__all__ = ["TarMember", "TarShard", "grouped", "notes_of"]

Value = TypeVar("Value")
EXPECTED = ("cls", "txt", "json")
"""What may lie beside pictures without a word."""


@dataclass
class TarShard:
    """What one tar file holds."""

    samples: dict[str, tuple[PartPicture, int | None]] = field(default_factory=dict)
    """Picture and label by key, in the order of the file."""
    captions: dict[str, str] = field(default_factory=dict)
    """What each picture shows, by key, where a `.txt` says it."""
    texts: dict[str, list[str]] = field(default_factory=dict)
    """The lines of class names and templates that lie inside."""
    bad_label: str = ""
    """What is wrong with the first `.cls` that holds no label."""
    without_picture: tuple[str, ...] = ()
    """Members that belong to no picture."""
    others: tuple[str, ...] = ()
    """Members beside pictures that are neither labels nor texts."""


@dataclass(frozen=True)
class TarMember:
    """One plain file in a shard: its name, and where it lies."""

    name: str
    picture: PartPicture

    @property
    def stem(self) -> str:
        """The name without what follows its last dot."""
        return self.name.rpartition(".")[0] if suffix_of(self.name) else self.name

    @property
    def key(self) -> str:
        """The name up to the first dot of its last part, which webdataset groups members by."""
        folder, slash, name = self.name.rpartition("/")
        return folder + slash + name.partition(".")[0]


def grouped(members: Sequence[TarMember], labels: Mapping[str, int], captions: Mapping[str, str]) -> TarShard:
    """Give every picture a key and the label and caption beside it; `labels` and `captions` go by stem.

    A label belongs to the pictures whose stem is the label's, or goes on after it with a dot: `0001.cls` to
    `0001.left.png`, and `photo.v2.0001.cls` to `photo.v2.0001.png`. A key is what webdataset makes of the name where
    one picture alone has it, else the stem, else the whole name.
    """
    pictures = [member for member in members if is_picture(member.name)]
    keys, stems = Counter(member.key for member in pictures), Counter(member.stem for member in pictures)
    shard, used = TarShard(), set[str]()
    for member in pictures:
        key = member.key if keys[member.key] == 1 else member.stem if stems[member.stem] == 1 else member.name
        shard.samples[key] = (member.picture, _beside(member, labels))
        if (caption := _beside(member, captions)) is not None:
            shard.captions[key] = caption
        used.update(_prefixes(member))
    beside = [member for member in members if not is_picture(member.name)]
    shard.without_picture = tuple(member.name for member in beside if not used & set(_prefixes(member)))
    lone = set(shard.without_picture)
    shard.others = tuple(m.name for m in beside if m.name not in lone and suffix_of(m.name) not in EXPECTED)
    return shard


def notes_of(shards: Iterable[tuple[str, TarShard]]) -> list[str]:
    """Say what of some shards is no picture of its own: samples without one, and members that nobody reads."""
    lone: list[str] = []
    others: list[str] = []
    for shard, found in shards:
        lone += [f"{shard}/{name}" for name in found.without_picture]
        others += found.others
    notes = []
    if lone:
        count = len(lone)
        which = "member has" if count == 1 else "members have"
        notes.append(f"{count:,} {which} no picture beside them, such as {lone[0]} ({counted(lone)})")
    if others:
        notes.append(f"{len(others):,} other members are left out: {counted(others)}")
    return notes


def _prefixes(member: TarMember) -> list[str]:
    """Give all stems that a label of this member may have, the longest first."""
    folder, slash, name = member.stem.rpartition("/")
    parts = name.split(".")
    return [folder + slash + ".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _beside(member: TarMember, values: Mapping[str, Value]) -> Value | None:
    return next((values[stem] for stem in _prefixes(member) if stem in values), None)
