"""The marker file that tells a store from any other folder, with the number of its format."""

from __future__ import annotations

import json
from pathlib import Path

from ood_toolkit.errors import StoreError
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import read_bytes
from ood_toolkit.store.foreign.objects import LARGEST
from ood_toolkit.store.ownership import is_like_store

__all__ = ["MARKER", "begin", "check_store", "is_whole"]

MARKER = "oodkit-store.json"
FORMAT = 1
"""How a store is laid out; part of no key, so that nothing is encoded again when it rises."""


def begin(store: Path) -> None:
    """Mark a folder as a store before the first is written to it; `StoreError` for one of a later format."""
    marker = store / MARKER
    if not marker.exists():
        with replaced_file(marker) as partial:
            partial.write_text(json.dumps({"made_by": "oodkit", "format": FORMAT}) + "\n")
    _check_format(marker, _format(marker))


def check_store(store: Path) -> None:
    """Refuse, with a `StoreError`, to delete in a folder that is no store.

    One of before there was a marker is recognised by what it holds; it gets the marker when it is written to next.
    """
    marker = store / MARKER
    if not marker.exists():
        if not is_like_store(store):
            raise StoreError(
                f"{store} is no store of oodkit, so nothing in it is deleted; --store or OODKIT_STORE names one"
            )
        return
    found = _format(marker)
    if found is None:
        raise StoreError(f"{marker}: damaged, so nothing is deleted; delete it if {store} is a store, and try again")
    _check_format(marker, found)


def is_whole(store: Path) -> bool:
    """Tell whether the marker of a store says its format; one of before there was a marker is whole too."""
    return not (store / MARKER).exists() or _format(store / MARKER) is not None


def _check_format(marker: Path, found: int | None) -> None:
    if found is not None and found > FORMAT:
        raise StoreError(f"{marker}: expected format {FORMAT}, got {found}; a later version made it, use that one")


def _format(marker: Path) -> int | None:
    """Read the number of the format; None where there is no marker, or it is damaged."""
    try:
        found = json.loads(read_bytes(marker, LARGEST))["format"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
