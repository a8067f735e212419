"""How many values a Parquet file claims to have, read off its footer alone.

pyarrow checks what the footer says of a column when it is asked for it, and ends the process where that is damaged.
"""

from __future__ import annotations

import os
from typing import IO, Any

from ood_toolkit.store.foreign.guard import MIB, too_large

__all__ = ["claimed_values"]

MAGIC = b"PAR1"
LARGEST = 64 * MIB
"""Bytes of a footer; one of 1,000 groups of ten columns has about 2 MB."""
DEEPEST = 16
"""Structures in each other; Parquet's own reach 7."""
GROUPS, COLUMNS, ABOUT, VALUES = 4, 1, 3, 5
"""Fields of the footer, of a group of rows, of a column, and of what is said of that, as parquet.thrift has them."""
TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
WHOLE = (4, 5, 6)


def claimed_values(handle: IO[bytes]) -> list[int]:
    """Give the values of all columns of each group of rows; `OSError` or `ValueError` for what is no Parquet file."""
    size = handle.seek(0, os.SEEK_END)
    handle.seek(max(0, size - 8))
    end = handle.read(8)
    length = int.from_bytes(end[:4], "little")
    handle.seek(0)
    if handle.read(4) != MAGIC:
        raise OSError("a file that does not begin as one")
    if end[4:] != MAGIC or length > size - 12:
        raise OSError("a damaged one, without its end")
    if length > LARGEST:
        raise OSError(too_large(length, LARGEST, "a footer of"))
    handle.seek(size - 8 - length)
    footer = _Compact(handle.read(length)).struct(0)
    handle.seek(0)
    return [sum(_values(column) for column in _field(group, COLUMNS, list)) for group in _field(footer, GROUPS, list)]


def _values(column: Any) -> int:
    count = _field(_field(column, ABOUT, dict), VALUES, int)
    if count < 0:
        raise ValueError("a column with less than no values")
    return int(count)


def _field(held: Any, number: int, kind: type) -> Any:
    found = held.get(number) if isinstance(held, dict) else None
    if not isinstance(found, kind):
        raise ValueError("a footer without what its columns hold")
    return found


class _Compact:
    """Values in Thrift's compact protocol: structures by the numbers of their fields; texts are passed over."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0

    def struct(self, depth: int) -> dict[int, Any]:
        held: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            kind = head & 15
            held[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth + 1)
        return held

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("a footer that is nested too deeply")
        if kind in WHOLE:
            return self._whole()
        if kind in (TRUE, FALSE, BYTE):
            return self._byte()
        if kind == DOUBLE:
            return self._skip(8)
        if kind == BINARY:
            return self._skip(self._count())
        if kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._count()
            return [self._value(head & 15, depth + 1) for _ in range(self._held(count))]
        if kind == MAP:
            count = self._held(self._count())
            kinds = self._byte() if count else 0
            return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in range(count)]
        if kind == STRUCT:
            return self.struct(depth + 1)
        raise ValueError(f"a value of no known kind, {kind}")

    def _byte(self) -> int:
        if self.place >= len(self.content):
            raise ValueError("a footer that ends too early")
        self.place += 1
        return self.content[self.place - 1]

    def _count(self) -> int:
        found, shift = 0, 0
        while True:
            one = self._byte()
            found |= (one & 127) << shift
            shift += 7
            if one < 128:
                return found
            if shift > 63:
                raise ValueError("a number that does not end")

    def _whole(self) -> int:
        found = self._count()
        return (found >> 1) ^ -(found & 1)

    def _held(self, count: int) -> int:
        """Return a count of values that the rest can hold, a byte each."""
        if count > len(self.content) - self.place:
            raise ValueError("a footer that ends too early")
        return count

    def _skip(self, count: int) -> None:
        self.place += self._held(count)
