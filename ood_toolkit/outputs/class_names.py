"""`ClassNames`: which class a text means, by one rule that holds wherever names of classes meet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

from ood_toolkit.errors import DataError

__all__ = ["ClassNames", "comparable", "first_few", "is_wordnet_id", "text_of"]

INVISIBLE = re.compile("[\ufeff\u200b]")
"""The byte order mark and the blank without width."""
BETWEEN = re.compile(r"(?<=\w)[-/](?=\w)")
"""A hyphen or slash inside a name; one in front of a number is its sign."""
WORDNET_ID = re.compile(r"n\d{8}")


def comparable(name: str) -> str:
    """Bring a name to the form that is compared: composed (NFC), without case, one blank for `_`, `-` and blanks.

    So `apple_pie`, `Apple-Pie` and `apple pie` are one, with or without a byte order mark. Other signs count: `C++` is
    not `C`, `+5V` not `-5V`, `1.5 l` not `15 l`.
    """
    text = unicodedata.normalize("NFC", INVISIBLE.sub("", name)).casefold()
    return " ".join(BETWEEN.sub(" ", unicodedata.normalize("NFC", text)).replace("_", " ").split())


def text_of(name: Any) -> str:
    """Read a name that an array or a file holds: bytes are UTF-8, and a byte order mark is no part of it."""
    if isinstance(name, bytes):
        try:
            name = name.decode()
        except UnicodeDecodeError:
            raise DataError(f"class names: expected text in UTF-8, got the bytes {name!r}") from None
    return str(name).removeprefix("\ufeff")


class ClassNames:
    """Known classes, each found by its name as it is, else by the one that equals it in `comparable` form."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._exact = {name: place for place, name in reversed(list(enumerate(self.names)))}

    def place(self, name: str, where: str = "") -> int:
        """Give the place of the class that a name means, -1 for none; equal names are one class.

        Raises `DataError` where the name fits two classes and is neither.
        """
        if name in self._exact:
            return self._exact[name]
        found = self._by_form.get(comparable(name), [])
        if len(found) > 1:
            raise DataError(
                f"{f'{where}: ' if where else ''}the class name {name!r} fits {found[0]!r} and {found[1]!r}; write it "
                "as one of them"
            )
        return self._exact[found[0]] if found else -1

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self._exact:
            found.setdefault(comparable(name), []).append(name)
        return {key: sorted(names, key=self._exact.__getitem__) for key, names in found.items()}


def is_wordnet_id(name: str) -> bool:
    """Tell a WordNet id, such as n01440764, from a name."""
    return WORDNET_ID.fullmatch(name) is not None


def first_few(names: Sequence[str], most: int = 3, write: Callable[[str], str] = repr, *, counts: bool = False) -> str:
    """Write the first names for a message: `'a', 'b', 'c', ...`, or, where the rest `counts`, `... and 4 more`."""
    left = len(names) - most
    more = "" if left <= 0 else f" and {left:,} more" if counts else ", ..."
    return ", ".join(map(write, names[:most])) + more
