"""JSON of others: a small object or list, not nested deeper than people nest."""

from __future__ import annotations

import json
import os
from typing import Any

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.foreign.guard import MIB, guarded, read_bytes, reason

__all__ = ["DEEPEST", "LARGEST", "json_kind", "parsed", "read_json", "read_object"]

LARGEST = 32 * MIB
"""Bytes of JSON; as objects in memory it takes up to twenty times as much."""
DEEPEST = 64
"""Lists and objects inside each other; what is deeper makes Python's own walks over it fail."""


KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def json_kind(kind: type) -> str:
    """Name a type of a JSON value as JSON does: `an object`, `a list`, `text`, `true or false`, `null`, `a number`."""
    return KINDS.get(kind, "a number")


def read_json(file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, where: str = "") -> Any:
    """Read a JSON file in UTF-8, with or without a mark in front; `raises` in one line where it is none."""
    where = where or str(file)
    with guarded(where, "a JSON file", raises):
        content = read_bytes(file, LARGEST)
    return parsed(content, where, raises)


def read_object(file: os.PathLike[str] | str, raises: type[OodkitError] = DataError, where: str = "") -> dict[str, Any]:
    """Read a JSON file that holds one object."""
    found = read_json(file, raises, where)
    if not isinstance(found, dict):
        raise raises(f"{where or file}: expected a JSON object, got {json_kind(type(found))}")
    return found


def parsed(content: bytes | str, where: str, raises: type[OodkitError] = DataError) -> Any:
    """Parse JSON; `raises` in one line for what is none, or is nested deeper than `DEEPEST`."""
    if len(content) > LARGEST:
        raise raises(f"{where}: expected at most {LARGEST:,} bytes of JSON, got {len(content):,}")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        found = json.loads(text)
    except UnicodeDecodeError as error:
        raise raises(f"{where}: expected JSON in UTF-8, got other bytes at {error.start}; save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else reason(error)
        raise raises(f"{where}: expected JSON, got other text ({why})") from None
    _check_depth(found, where, raises)
    return found


def _check_depth(found: Any, where: str, raises: type[OodkitError]) -> None:
    level = [found]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise raises(f"{where}: expected JSON nested at most {DEEPEST} deep, got more")
