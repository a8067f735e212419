"""`Gallery`: thumbnails of the images that a report shows, made while the pictures were at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ood_toolkit.errors import DataError
from ood_toolkit.report.cells import json_text
from ood_toolkit.report.shapes import is_number, is_text
from ood_toolkit.store.foreign.guard import guarded, quoted, read_bytes
from ood_toolkit.store.foreign.objects import read_json

__all__ = ["FOLDER", "Gallery", "joined_galleries", "picture_format", "read_gallery", "write_gallery"]

FOLDER, INDEX = "gallery", "index.json"
FORMAT = 1
LARGEST = 1 << 18
"""Bytes of one thumbnail."""
NAME = re.compile(r"\d{1,9}\.(png|jpg)")
STARTS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg"}
"""What a file of each kind begins with."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """Thumbnails by set and id of the image."""

    count: int
    """How many images of each kind of error were asked for."""
    pictures: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    """Encoded PNG or JPEG, by name of the data set and id."""

    def find(self, sets: list[str], identity: str) -> bytes | None:
        """Give the thumbnail of an image that is of one of these sets; None where none is, or several may be meant."""
        held = [self.pictures[name][identity] for name in sets if identity in self.pictures.get(name, {})]
        return held[0] if len(held) == 1 else None

    def __len__(self) -> int:
        return sum(map(len, self.pictures.values()))


def joined_galleries(parts: Sequence[Gallery]) -> Gallery | None:
    """Join the galleries of several models on the same sets; None where there is none."""
    if not parts:
        return None
    names = dict.fromkeys(name for part in parts for name in part.pictures)
    pictures = {name: {k: v for part in parts for k, v in part.pictures.get(name, {}).items()} for name in names}
    return Gallery(max(part.count for part in parts), pictures)


def picture_format(content: bytes) -> str | None:
    """Tell by its first bytes whether a file is a PNG or a JPEG picture; None for neither."""
    return next((kind for start, kind in STARTS.items() if content.startswith(start)), None)


def write_gallery(folder: Path, gallery: Gallery) -> None:
    """Write each thumbnail as a file of its own beside `index.json`, which says of which image it is."""
    folder.mkdir()
    listed = []
    for place, (name, identity, content) in enumerate(_each(gallery)):
        file = f"{place}.{picture_format(content)}"
        (folder / file).write_bytes(content)
        listed.append({"set": name, "id": identity, "file": file})
    text = json_text({"format": FORMAT, "count": gallery.count, "pictures": listed})
    (folder / INDEX).write_text(text + "\n")


def _each(gallery: Gallery) -> Iterator[tuple[str, str, bytes]]:
    for name, pictures in gallery.pictures.items():
        for identity, content in pictures.items():
            yield name, identity, content


def read_gallery(folder: Path) -> Gallery | None:
    """Read what `write_gallery` wrote; None where there is none. `DataError` for what cannot be or is no picture."""
    file = folder / INDEX
    if not file.is_file():
        return None
    found = read_json(file)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{file}: expected a gallery of format {FORMAT}, got {quoted(found, 60)}")
    listed, count = found.get("pictures"), found.get("count")
    if not isinstance(listed, list) or not is_number(count) or not isinstance(count, int) or count < 0:
        raise DataError(f"{file}: expected a list under pictures and a number under count")
    pictures: dict[str, dict[str, bytes]] = {}
    for place, one in enumerate(listed):
        if not isinstance(one, dict) or not all(is_text(one.get(key)) for key in ("set", "id", "file")):
            raise DataError(f"{file}: picture {place}: expected an object with set, id and file")
        if not NAME.fullmatch(one["file"]):
            raise DataError(f"{file}: picture {place}: expected a name such as 0.png, got {quoted(one['file'], 60)}")
        pictures.setdefault(one["set"], {})[one["id"]] = _content(folder / one["file"])
    return Gallery(count, pictures)


def _content(file: Path) -> bytes:
    with guarded(str(file), "a thumbnail"):
        content = read_bytes(file, LARGEST)
    if picture_format(content) is None:
        raise DataError(f"{file}: expected a PNG or JPEG picture; make the run again")
    return content
