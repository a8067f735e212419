"""`Cards`: what is known of a model without loading it, kept beside the state of the files that decided it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.store.checksum import body_of, checked
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import read_bytes
from ood_toolkit.store.hashes import FRESH_NS
from ood_toolkit.store.marker import begin
from ood_toolkit.store.ownership import own_files

__all__ = ["Card", "Cards", "state_of_files"]

FORMAT = 1
SUFFIX = ".model"
State = dict[str, "list[int] | None"]
"""Size, times of content and of state in nanoseconds, and inode of each file by its path; None for one that is not
there. The time of state tells a file that was written over and given its old time again."""


@dataclass(frozen=True, eq=False)
class Card:
    """What is known of one model."""

    model: str
    """Its name with options, in canonical form."""
    files: State
    """The files that decided it, or could have, the weights first."""
    versions: Mapping[str, Any]
    """Of the libraries and the code that made a model of these files."""
    facts: Mapping[str, Any]
    """All that is asked of a model without running it, as plain values."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """`weight` (k, d) and `bias` (k,) of its linear head, if it has one."""

    @property
    def is_stale(self) -> bool:
        """Whether a file is not as it was."""
        return state_of_files(list(self.files)) != self.files


class Cards:
    """The cards of a store, one a model; each can be deleted at any time and is then made anew."""

    def __init__(self, store: Path) -> None:
        self.folder = store / "models"

    def read(self, model: str, files: Sequence[str]) -> Card | None:
        """Give the card of a model whose first file is this one; None if there is none, or a damaged one."""
        return _read(self._path(model, files))

    def write(self, card: Card) -> None:
        """Keep a card in place of an earlier one; none of files that may change again under the same time."""
        from safetensors.numpy import save

        if any(_is_fresh(state) for state in card.files.values()):
            return
        said = {"model": card.model, "files": card.files, "versions": card.versions, "facts": card.facts}
        about = np.frombuffer(json.dumps(said).encode(), np.uint8)
        begin(self.folder.parent)
        with replaced_file(self._path(card.model, list(card.files))) as partial:
            partial.write_bytes(checked(save({"about": about, **card.arrays})))

    def forget(self, card: Card) -> None:
        """Delete a card that turned out to be wrong."""
        self._path(card.model, list(card.files)).unlink(missing_ok=True)

    def all(self) -> Iterator[tuple[Path, Card | None]]:
        """Give every file of a card with the card; None for a damaged one."""
        return ((path, _read(path)) for path in own_files(self.folder.parent, "models/*"))

    def damaged(self) -> list[Path]:
        """List the files that hold no card."""
        return [path for path, card in self.all() if card is None]

    def _path(self, model: str, files: Sequence[str]) -> Path:
        told = json.dumps({"format": FORMAT, "model": model, "first": list(files[:1])}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(told.encode()).hexdigest()}{SUFFIX}"


def state_of_files(files: Sequence[str]) -> State:
    """Say how files are now, by absolute path."""
    return {path: _state(path) for path in map(os.path.abspath, files)}


def _state(path: str) -> list[int] | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def _is_fresh(state: list[int] | None) -> bool:
    return state is not None and time.time_ns() - max(state[1], state[2]) <= FRESH_NS


def _read(path: Path) -> Card | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(body_of(read_bytes(path)) or b"")
        said = json.loads(arrays.pop("about").tobytes())
        if not all(isinstance(said[key], dict) for key in ("files", "versions", "facts")):
            raise ValueError("no card")
        return Card(str(said["model"]), said["files"], said["versions"], said["facts"], arrays)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, RecursionError):
        return None
