"""How wide text is on a terminal, and lines folded to a width: between words, then after signs, never inside a word."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["folded", "longest_part", "width_of"]

PART = re.compile(r"[^-:,=+/ ]*[-:,=+/]+ ?|[^-:,=+/ ]+ ?| ")
"""What of a line stays together: up to and with signs that a spec, a slug or a path has, and the space behind."""


def width_of(text: str) -> int:
    """Give the number of columns that a terminal needs for text."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def longest_part(text: str) -> int:
    """Give the columns that text needs at least where it is folded."""
    return max((width_of(part.rstrip()) for part in PART.findall(text)), default=0)


def folded(text: str, width: int, indent: str = "") -> list[str]:
    """Fold one line to lines of at most `width` columns, the further ones indented.

    It is folded at spaces where each word fits on a line, then after the signs of a name, and inside a word only where
    the word alone is wider than the lines are.
    """
    if width_of(text) <= width:
        return [text]
    lines = [text[: len(text) - len(text.lstrip())]]
    for part in _pieces(text.lstrip(), max(1, width - len(indent))):
        if width_of(lines[-1] + part.rstrip()) > width and lines[-1].strip():
            lines.append(indent)
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _pieces(text: str, width: int) -> Iterator[str]:
    """Give words; those that are too wide for a line in parts, and parts that are too wide in pieces."""
    for word in re.findall(r"[^ ]* ?", text):
        if width_of(word.rstrip()) <= width:
            yield word
            continue
        for part in PART.findall(word):
            while width_of(part.rstrip()) > width:
                cut = _fitting(part, width)
                yield part[:cut]
                part = part[cut:]
            yield part


def _fitting(text: str, width: int) -> int:
    """Give how many characters fit into a width, at least one."""
    used = 0
    for place, char in enumerate(text):
        used += width_of(char)
        if used > width:
            return max(1, place)
    return len(text)
