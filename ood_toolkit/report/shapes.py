"""What a value read from JSON must look like: small checks that are put together to those of a whole header."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ood_toolkit.errors import DataError

__all__ = [
    "Shape", "anything", "by_name", "check_shapes", "each", "is_finite", "is_flag", "is_number", "is_text", "maybe",
    "object_of",
]  # fmt: skip


Shape: TypeAlias = Callable[[Any], bool]
"""Whether a value looks as it must."""


def is_number(found: Any) -> bool:
    """Tell whether a value read from JSON is a number that a float can hold."""
    if isinstance(found, float):
        return True
    return isinstance(found, int) and not isinstance(found, bool) and abs(found) < 10**308


def is_finite(found: Any) -> bool:
    """Tell whether a value is a finite number."""
    return is_number(found) and math.isfinite(found)


def is_text(found: Any) -> bool:
    """Tell whether a value is a text."""
    return isinstance(found, str)


def is_flag(found: Any) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(found, bool)


def maybe(shape: Shape) -> Shape:
    """Describe what may also be null."""
    return lambda found: found is None or shape(found)


def each(shape: Shape, least: int = 0) -> Shape:
    """Describe a list of at least so many values of a shape."""
    return lambda found: isinstance(found, list) and len(found) >= least and all(map(shape, found))


def by_name(shape: Shape) -> Shape:
    """Describe an object with any keys and values of a shape."""
    return lambda found: isinstance(found, dict) and all(map(shape, found.values()))


def anything(found: Any) -> bool:
    """Tell that any value will do."""
    return True


def object_of(needed: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Describe an object that has these keys, and may have those; others are let be."""

    def fits(found: Any) -> bool:
        if not isinstance(found, dict) or not needed.keys() <= found.keys():
            return False
        shapes = {**(optional or {}), **needed}
        return all(shapes[key](value) for key, value in found.items() if key in shapes)

    return fits


def check_shapes(file: Path, found: Mapping[str, Any], shapes: Mapping[str, tuple[Shape, str]]) -> None:
    """Refuse, with the one line of a `DataError`, a key of a file whose value does not look as it must."""
    for key, (shape, wanted) in shapes.items():
        if key in found and not shape(found[key]):
            raise DataError(f"{file}: {key}: expected {wanted}, got {reprlib.repr(found[key])}")
