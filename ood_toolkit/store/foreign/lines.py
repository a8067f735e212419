"""Text of others, a line each: UTF-8 with or without a mark in front, plain or gzipped, ended as any system ends it."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.foreign.guard import MIB, guarded, open_regular, read_bytes, room, too_large

__all__ = ["LARGEST", "as_lines", "decoded", "read_lines", "read_text"]

LARGEST = 256 * MIB
"""Bytes of text, unpacked; ImageNet's list of 1.3 million paths has 60 MB."""
MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
PIECE = MIB
SMALL, MOST_TIMES = 16 * MIB, 100
"""A gzipped text may unpack to the first, or to so many times its packed size; prose and lists pack 3 to 30 times."""


def read_lines(
    file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, where: str = "", *, any_bytes: bool = False
) -> list[str]:
    """Read the lines of a text file without their ends; blank ones are kept. See `read_text`."""
    return as_lines(read_text(file, raises, where, any_bytes=any_bytes))


def read_text(
    file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, where: str = "", *, any_bytes: bool = False
) -> str:
    """Read a text file in UTF-8, gzipped where its name ends in `.gz`; `raises` in one line that names the fault.

    With `any_bytes`, what is not UTF-8 is kept as Python keeps file names that are not: for lists of paths.
    """
    where = where or str(file)
    with guarded(where, "a readable text file", raises):
        content = _unpacked(file) if Path(file).suffix.lower() == ".gz" else read_bytes(file, LARGEST)
    return decoded(content, where, raises, any_bytes=any_bytes)


def decoded(content: bytes, where: str, raises: type[OodkitError] = DataError, *, any_bytes: bool = False) -> str:
    """Decode UTF-8; `raises` names the line that is none, a text in UTF-16, or one with NUL characters."""
    if (mark := MARKS.get(content[:2])) is not None:
        raise raises(f"{where}: expected text in UTF-8, got {mark}; save it as UTF-8")
    if (nul := content.find(b"\0")) >= 0:
        raise raises(f"{where}: line {_line(content, nul)}: expected text, got a NUL character; is it a text file?")
    try:
        return content.decode("utf-8-sig", "surrogateescape" if any_bytes else "strict")
    except UnicodeDecodeError as error:
        raise raises(
            f"{where}: line {_line(content, error.start)}: expected text in UTF-8, got byte "
            f"0x{content[error.start]:02x}; save it as UTF-8"
        ) from None


def as_lines(text: str) -> list[str]:
    """Split at line ends alone: a file's name may hold other characters at which `str.splitlines` splits."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _line(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1


def _unpacked(file: os.PathLike[str] | str) -> bytes:
    with open_regular(file) as packed, gzip.GzipFile(fileobj=packed) as unpacked:
        times = MOST_TIMES * os.fstat(packed.fileno()).st_size
        return _at_most(unpacked, room(min(LARGEST, max(SMALL, times))))


def _at_most(stream: gzip.GzipFile, most: int) -> bytes:
    held = io.BytesIO()
    while piece := stream.read(PIECE):
        held.write(piece)
        if held.tell() > most:
            raise OSError(too_large(held.tell(), most, "a text that unpacks to more than"))
    return held.getvalue()
