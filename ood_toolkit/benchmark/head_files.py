"""Where trained heads lie: the file, the folder that `oodkit train head` wrote, or one for each ID set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ood_toolkit.errors import DataError
from ood_toolkit.report.results import name_on_disk
from ood_toolkit.store.foreign.places import place_of

__all__ = ["HEAD", "head_files", "trained_on"]

HEAD = "head.safetensors"
"""What the file of a trained head is called in the folder of an ID set."""


def head_files(given: Sequence[str], ids: Sequence[str]) -> dict[str, str]:
    """Read `--head`: a file, `NAME=FILE` for one of several ID sets, or the folder that was trained into."""
    found: dict[str, str] = {}
    for text in given:
        name = max((name for name in ids if text.startswith(f"{name}=")), key=len, default=None)
        place = place_of(text if name is None else text[len(name) + 1 :])
        named = [name] if name is not None else list(ids)
        for one in named:
            if one in found:
                raise DataError(f"--head: expected one head for {one}, got {found[one]} and {place}")
            found[one] = str(_head_file(place, one, len(named)))
    if found and (lacking := [name for name in ids if name not in found]):
        raise DataError(f"--head: expected a head for each ID set, got none for {lacking[0]}; add {lacking[0]}=FILE")
    return found


def trained_on(file: str, models: Sequence[str]) -> str:
    """Give the one of several models that the head in a file was trained on; `DataError` where it is none of them."""
    from ood_toolkit.store.head_file import read_head

    known = str(read_head(file).encoder.get("model"))
    if known not in models:
        raise DataError(
            f"--head: {file} was trained on features of {known!r}, expected one of --model {', '.join(models)}; add "
            f"--model {known}"
        )
    return known


def _head_file(place: Path, name: str, ids: int) -> Path:
    """Find the head of an ID set in a folder; a file is what it is, but not for several sets."""
    for file in (place / name_on_disk(name) / HEAD, place / HEAD):
        if file.is_file() and (ids == 1 or file.parent != place):
            return file
    if place.is_dir():
        raise DataError(f"--head: expected a head of {name} in {place}, as oodkit train head writes it, found none")
    if not place.is_file():
        raise DataError(f"--head: no such file or folder: {place}")
    if ids > 1:
        raise DataError(f"--head: {place} is one head, but there are {ids} ID sets; give NAME=FILE for each")
    return place
