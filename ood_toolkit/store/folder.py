"""Where the store lies, and how files come into it: whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["default_store", "replaced_file", "replaced_folder"]


def default_store() -> Path:
    """Give `OODKIT_STORE`, else the folder `oodkit` in the user's cache folder."""
    named = os.environ.get("OODKIT_STORE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oodkit"


@contextmanager
def replaced_folder(final: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `final` when the block ends well; one that is already there is kept."""
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name[:16]}."))
    try:
        yield partial
        for file in partial.iterdir():
            _sync(file)
        try:
            partial.rename(final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def replaced_file(final: Path) -> Iterator[Path]:
    """Give a temporary file that takes the place of `final` when the block ends well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name[:16]}.")
    os.close(handle)
    try:
        yield Path(name)
        _sync(Path(name))
        os.replace(name, final)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
