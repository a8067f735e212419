"""The state of a monitor between calls: one JSON file, whole or not at all, and locked while a call works on it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ood_toolkit.errors import DetectorError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import guarded, in_file, quoted, read_bytes
from ood_toolkit.store.locks import locked
from ood_toolkit.store.room import check_writable, room_in

__all__ = ["held_state", "is_position", "read_state", "write_state"]

KIND, FORMAT = "oodkit monitor", 1
MOST = 1 << 24
"""Bytes of a state at most."""
T = TypeVar("T")


@contextmanager
def held_state(path: Path) -> Iterator[None]:
    """Keep the state for this process; another one waits. The lock is a file beside it that stays."""
    place = Path(os.path.realpath(path))
    check_writable(place, path)
    if place.is_dir():
        raise DetectorError(f"{path}: it is a folder; name a file for the state")
    with room_in(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f"{place.name}.lock")):
        yield


def is_position(known: object) -> bool:
    """Tell whether a part of a state says how far something was fed."""
    if not isinstance(known, dict) or set(known) != {"rows", "first", "chain"}:
        return False
    rows, texts = known["rows"], (known["first"], known["chain"])
    return type(rows) is int and rows > 0 and all(isinstance(text, str) for text in texts)


def write_state(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Put the state in the place of an earlier one."""
    text = json.dumps({"kind": KIND, "format": FORMAT, **state}, allow_nan=False)
    with replaced_file(Path(os.path.realpath(path))) as partial:
        partial.write_text(text)


def read_state(path: str | os.PathLike[str], digest: str, make: Callable[[Mapping[str, Any]], T]) -> T:
    """Make something of a state that belongs to the detector with this digest."""
    told = guarded(f"{path}: damaged", "a state that oodkit monitor wrote", DetectorError)
    with told, in_file(path, DetectorError):
        state = json.loads(read_bytes(path, MOST))
        if not isinstance(state, dict) or state.get("kind") != KIND:
            raise DetectorError(f"{path}: expected a state that oodkit monitor wrote, got something else")
        if state["format"] != FORMAT:
            raise DetectorError(f"{path}: is of format {quoted(state['format'], 20)}; this version reads {FORMAT}")
        if state["detector"] != digest:
            raise DetectorError(
                f"{path}: is of detector {quoted(state['detector'], 40)}, this is {digest}; name another file"
            )
        return make(state)
