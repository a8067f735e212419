"""Feeds of a monitor: predictions or sources, gone on with where an earlier call ended, whatever they are called."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.detectors.deciding import Deciding
from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.gate import Gate
from ood_toolkit.detectors.sources import Finder, Hashed, PictureSource, Source, row_key, sources_of
from ood_toolkit.detectors.writing import BEGIN, FIELDS, records, row_of
from ood_toolkit.errors import DataError
from ood_toolkit.store.foreign.guard import open_regular, quoted
from ood_toolkit.store.foreign.places import place_of

__all__ = ["Feed", "Position", "feed_of", "first_of", "position_of", "twice"]

ROWS = 1000
"""Rows of predictions that are read together."""
CSV = ",".join(FIELDS).encode()
ENDS = (".jsonl", ".ndjson")


class Feed(ABC):
    """Images in their order, each with what it is known by."""

    named = True
    """Whether that holds a name, so that an image of the same content is another one."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def walk(self) -> Iterator[bytes]:
        """Walk what rows are known by, deciding on none."""

    @abstractmethod
    def after(self, count: int) -> Iterator[tuple[Decisions, list[bytes]]]:
        """Walk the decisions on all rows after the first so many, with what they are known by."""


class Predictions(Feed):
    """JSON lines that `oodkit predict` wrote, all rows of them and with the same detector."""

    def __init__(self, path: Path, detector: Detector) -> None:
        super().__init__(str(path))
        self.path, self.digest = path, detector.digest
        self.names = detector.class_names or tuple(map(str, range(detector.classes)))
        self.codes = {name: place for place, name in reversed(list(enumerate(self.names)))}

    def walk(self) -> Iterator[bytes]:
        """Walk the whole lines; one that is just being written is passed over."""
        with open_regular(self.path) as file:
            yield from records(file, "json", self.path)

    def after(self, count: int) -> Iterator[tuple[Decisions, list[bytes]]]:
        """Walk the rows; `DataError` for a line that is none, of another detector, or one of some rows alone."""
        lines = islice(enumerate(self.walk(), 1), count, None)
        while block := list(islice(lines, ROWS)):
            yield self._decisions([self._row(line, number) for number, line in block]), [line for _, line in block]

    def _row(self, line: bytes, number: int) -> Mapping[str, Any]:
        row = row_of(line, "json", self.path, number)
        if row["detector"] != self.digest:
            raise DataError(
                f"{self.path}: line {number} is of detector {quoted(row['detector'], 40)}, this is {self.digest}; "
                "predict again with this one"
            )
        if "only" in row:
            raise DataError(
                f"{self.path}: line {number} was written with --only {quoted(row['only'], 20)}, so other rows are "
                "missing; predict again without it"
            )
        numbers = [row.get("score", ""), row.get("threshold", "")]
        fits = isinstance(row.get("prediction"), str) and all(
            one is None or (type(one) in (int, float) and abs(one) < 1e300) for one in numbers
        )
        if not fits or row["prediction"] not in ("", *self.codes):
            raise DataError(f"{self.path}: line {number} is no row of oodkit predict; name another file")
        return row

    def _decisions(self, rows: Sequence[Mapping[str, Any]]) -> Decisions:
        score, threshold = (
            np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)
            for name in ("score", "threshold")
        )
        codes = np.array([self.codes.get(row["prediction"], -1) for row in rows], dtype=np.int32)
        unknown = np.full(len(rows), np.nan)
        return Decisions(score, threshold, score >= threshold, unknown, unknown, codes, self.names)


class Decided(Feed):
    """Pictures or vectors that are decided on now."""

    def __init__(self, name: str, source: Source, deciding: Deciding) -> None:
        super().__init__(name)
        self.source, self.deciding = source, deciding
        self.named = isinstance(source, PictureSource)

    def walk(self) -> Iterator[bytes]:
        """Walk the file names and hashes of pictures, or the hashes of rows."""
        if isinstance(self.source, PictureSource):
            for name, picture in self.source.walk():
                yield self._key(name, _hash_of(Hashed(picture)))
            return
        for _, block in self.source.walk():
            yield from (self._key("", row_key(row)) for row in block.cpu().numpy())

    def after(self, count: int) -> Iterator[tuple[Decisions, list[bytes]]]:
        """Decide on the rest."""
        for found, keys in self.deciding.rows(_without(self.source, count)):
            yield found, [self._key(str(name), key) for name, key in zip(found.id, keys, strict=True)]

    def _key(self, name: str, sha256: str) -> bytes:
        """Leave out the folder: it may be named in several ways."""
        return f"{os.path.basename(name) if self.named else ''}\0{sha256}".encode(errors="surrogatepass")


def _hash_of(picture: Hashed) -> str:
    try:
        picture.read()
    except OSError:  # a picture that cannot be read is a row all the same
        return ""
    return picture.key


def _without(source: Source, count: int) -> Source:
    """Leave out the first rows of a source."""
    if isinstance(source, PictureSource):
        pictures = source.walk
        return replace(source, walk=lambda: islice(pictures(), count, None))
    rows = source.walk

    def walk() -> Iterator[tuple[Sequence[str], Any]]:
        left = count
        for names, block in rows():
            if left < len(names):
                yield names[left:], block[left:]
            left = max(0, left - len(names))

    return replace(source, walk=walk)


def feed_of(
    word: str, detector: Detector, gate: Callable[[], Gate], finder: Finder, column: str | None = None
) -> Feed:  # fmt: skip
    """Find what a word means: a file of predictions, or else what `oodkit predict` takes, but no list on stdin."""
    if word == "-":
        raise DataError("--on -: a list on stdin cannot be told apart from one that was fed before; name a file")
    path = place_of(word)
    if path.is_file() and (path.suffix.lower() in ENDS or _starts_with(path, BEGIN)):
        return Predictions(path, detector)
    if path.is_file() and _starts_with(path, CSV):
        raise DataError(f"{word}: rows of oodkit predict as CSV; predict without --csv: a monitor reads JSON lines")
    (source,) = sources_of([word], (), finder, column)
    if isinstance(source, PictureSource):
        gate()  # what must be refused is refused before anything is counted
    return Decided(word, source, Deciding(detector, gate))


def _starts_with(path: Path, start: bytes) -> bool:
    with open_regular(path) as file:
        return file.read(len(start)) == start


@dataclass
class Position:
    """How far something was fed: the rows, and a hash of all of them in their order."""

    rows: int
    chain: Any
    """The running hash."""
    first: str = ""
    """The hash of the first row."""

    @classmethod
    def start(cls) -> Position:
        """Give the position before the first row."""
        return cls(0, hashlib.sha256())

    def pass_by(self, key: bytes) -> None:
        """Go on by a row."""
        self.chain.update(hashlib.sha256(key).digest())
        self.rows += 1
        if self.rows == 1:
            self.first = first_of(key)

    def copy(self) -> Position:
        """Give a position that goes on by itself."""
        return Position(self.rows, self.chain.copy(), self.first)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values."""
        return {"rows": self.rows, "first": self.first, "chain": self.chain.hexdigest()}


def first_of(key: bytes) -> str:
    """Give the hash by which a row is known as the first of a feed."""
    return hashlib.sha256(hashlib.sha256(key).digest()).hexdigest()


def twice(feed: Feed) -> DataError:
    """Say that rows of a feed could count twice."""
    return DataError(
        f"{feed.name}: holds what was fed before, but does not begin with all of it as it was then, so rows could "
        "count twice; feed what is new from a file or folder of its own"
    )


def position_of(feed: Feed, fed: Sequence[Mapping[str, Any]]) -> tuple[Position, int | None]:
    """Find how far this was fed, by its content, and the place of that in what was fed; None where it is new.

    `DataError` where it begins as something that was fed and then goes on otherwise: rows would count twice.
    """
    now, best, place = Position.start(), Position.start(), None
    left: dict[int, list[int]] = {}
    for key in feed.walk():
        now.pass_by(key)
        if now.rows == 1:
            for number, one in enumerate(fed):
                if one["first"] == now.first:
                    left.setdefault(one["rows"], []).append(number)
        for number in left.get(now.rows, ()):
            if fed[number]["chain"] == now.chain.hexdigest():
                best, place = now.copy(), number
        if now.rows >= max(left, default=0):
            break
    if left and place is None:
        raise twice(feed)
    return best, place
