"""`Kind`: what a file of ours looks like, so that no output takes the place of a file of another kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ood_toolkit.errors import StoreError
from ood_toolkit.store.foreign.guard import open_regular, reason

__all__ = ["Kind", "beginning"]


@dataclass(frozen=True)
class Kind:
    """A kind of file that a command writes."""

    name: str
    """Such as `detector`: what it is called where another file is there."""
    holds: Callable[[BinaryIO], bool]
    """Tells whether an opened file is of this kind."""

    def check(self, file: Path) -> None:
        """Refuse, with a `StoreError`, a file that holds something of another kind; an empty one holds nothing."""
        if not file.is_file():
            return
        try:
            with open_regular(file) as stream:
                is_ours = not stream.read(1) or (stream.seek(0) == 0 and self.holds(stream))
        except OSError as error:
            raise StoreError(f"{file}: it is there and cannot be read: {reason(error)}; name another file") from None
        if not is_ours:
            raise StoreError(f"{file}: it holds something that is no {self.name}; name another file")


def beginning(*starts: bytes, within: int = 0) -> Callable[[BinaryIO], bool]:
    """Tell files by their first bytes, one of `starts`; or by one of them somewhere `within` so many bytes."""

    def holds(stream: BinaryIO) -> bool:
        first = stream.read(max(within, *map(len, starts)))
        return any(start in first for start in starts) if within else first.startswith(starts)

    return holds
