"""Of which version something is: a distribution, or source code, which changes between two releases too."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["code_of", "version_of"]


@cache
def version_of(distribution: str) -> str | None:
    """Give the version of an installed distribution; None for one that is not here."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


@cache
def code_of(place: Path) -> str:
    """Give the SHA-256 of the names and contents of the Python files in a folder and below it, or of one file."""
    digest = hashlib.sha256()
    for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(place).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()
