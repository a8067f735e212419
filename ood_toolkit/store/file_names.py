"""Names of files and folders made of names that people give: any letters, any length, and of no meaning to a disk."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote

__all__ = ["escaped", "file_name", "given_name", "is_short", "unescaped"]

LONGEST = 255
"""Bytes that a name may have on the disks of today."""
KEPT, DIGITS = 100, 40
HASHED = re.compile(rf"~[0-9a-f]{{{DIGITS}}}$")


def file_name(name: str, ending: str = "", safe: str = "") -> str:
    """Return a file name of a given name: %-quoted, with its ending; hashed where that is longer than a disk takes.

    Names of files that are not UTF-8, as Python gives them, are quoted by their bytes.
    """
    raw = _raw(name)
    text = quote(raw, safe=safe)
    if len(text) + len(ending) > LONGEST:
        text = f"{text[:KEPT]}~{hashlib.sha256(raw).hexdigest()[:DIGITS]}"
    return text + ending


def escaped(name: str) -> str:
    """Return a name in ASCII, without line ends, whatever it holds."""
    return quote(_raw(name))


def unescaped(text: str) -> str:
    """Return what `escaped` was given."""
    return unquote(text, errors="surrogateescape")


def given_name(text: str) -> str | None:
    """Return the name that a file name without its ending was made of; None where it was hashed."""
    return None if HASHED.search(text) else unescaped(text)


def is_short(name: str, ending: str = "") -> bool:
    """Tell whether a name can be read off its file name."""
    return given_name(file_name(name, ending)[: -len(ending) or None]) is not None


def _raw(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a character that is from no file's name
        return name.encode("utf-8", "surrogatepass")
