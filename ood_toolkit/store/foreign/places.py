"""Places that people type: `~` for home, and names whose accents are written in another way on the disk."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Literal

__all__ = ["place_of"]

FORMS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")
"""One letter with its accent, as keyboards write it, or two, as some disks keep it."""


def place_of(text: str | os.PathLike[str]) -> Path:
    """Return the path that a text means.

    `~` and `~name` in front are home folders; where nothing is there under these very letters, but something is under
    their composed or decomposed form, that is meant.
    """
    given = os.fspath(text)
    home = os.path.expanduser(given) if given.startswith("~") else given
    if given.startswith("~") and os.path.exists(given):  # a file that is called so
        home = given
    if not home.isascii() and not os.path.lexists(home):
        for form in FORMS:
            try:
                other = unicodedata.normalize(form, home)
                if os.path.lexists(other):
                    return Path(other)
            except ValueError:  # a NUL
                break
    return Path(home)
