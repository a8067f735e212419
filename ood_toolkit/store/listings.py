"""`Listing`: which images a split of a data set held when it was last encoded, by row key, with ids and labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ood_toolkit.errors import StoreError
from ood_toolkit.store.checksum import body_of, checked
from ood_toolkit.store.file_names import escaped, file_name, given_name, is_short, unescaped
from ood_toolkit.store.files import replaced_file
from ood_toolkit.store.foreign.guard import read_bytes, reason
from ood_toolkit.store.marker import begin
from ood_toolkit.store.ownership import own_files
from ood_toolkit.store.shard import KEY_BYTES

__all__ = ["Listing", "Listings"]

SUFFIX = ".listing"


@dataclass(frozen=True, eq=False)
class Listing:
    """The readable images of one split."""

    name: str
    split: str
    keys: np.ndarray
    """(n, 32) uint8 row keys."""
    ids: tuple[str, ...]
    labels: np.ndarray | None = None
    """(n,) int64 indices into `classes`."""
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)
    """Of which versions what drew them was, where that decides all there is to know of them; else empty."""
    unlabelled: str = ""
    """Why there are no labels; not written down."""


class Listings:
    """The listings of a store, one a set and split: the last that was encoded."""

    def __init__(self, store: Path) -> None:
        self.folder = store / "sets"

    def names(self) -> list[tuple[str, str]]:
        """List the sets and splits."""
        stems = [path.name.removesuffix(SUFFIX) for path in own_files(self.folder.parent, "sets/*")]
        parts = [stem.rpartition(".")[::2] for stem in stems]
        return [(given_name(name) or self._long_name(name, split), split) for name, split in parts]

    def write(self, listing: Listing) -> None:
        """Keep a listing in place of an earlier one."""
        from safetensors.numpy import save

        path = self.path(listing.name, listing.split)
        long = {} if is_short(listing.name, f".{listing.split}{SUFFIX}") else {"name": listing.name}
        drawn = {"drawn": listing.drawn} if listing.drawn else {}
        about = json.dumps({"classes": listing.classes, "notes": listing.notes, **long, **drawn})
        arrays = {
            "about": np.frombuffer(about.encode(), np.uint8),
            "keys": np.ascontiguousarray(listing.keys),
            "ids": np.frombuffer("\n".join(map(escaped, listing.ids)).encode(), np.uint8),
        }
        if listing.labels is not None:
            arrays["labels"] = np.ascontiguousarray(listing.labels, dtype=np.int64)
        content = checked(save(arrays))
        if path.is_file() and path.read_bytes() == content:
            return
        begin(self.folder.parent)
        with replaced_file(path) as partial:
            partial.write_bytes(content)

    def read(self, name: str, split: str) -> Listing | None:
        """Give the listing of a split, None if there is none; `StoreError` for a damaged one."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path(name, split)
        if not path.exists():
            return None
        try:
            body = body_of(read_bytes(path))
            if body is None:
                raise ValueError("its checksum does not fit")
            arrays = load(body)
            about = json.loads(arrays["about"].tobytes())
            text = arrays["ids"].tobytes().decode()
            ids = tuple(map(unescaped, text.split("\n"))) if text else ()
            keys, labels = arrays["keys"], arrays.get("labels")
            if keys.shape != (len(ids), KEY_BYTES) or (labels is not None and labels.shape != (len(ids),)):
                raise ValueError(f"{len(ids)} ids for keys {keys.shape}")
            classes, notes, drawn = tuple(about["classes"]), tuple(about["notes"]), dict(about.get("drawn", {}))
            return Listing(name, split, keys, ids, labels, classes, notes, drawn)
        except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise StoreError(f"{path}: damaged ({reason(error)}); delete it and encode again") from None

    def path(self, name: str, split: str) -> Path:
        """Name the file of a listing."""
        return self.folder / file_name(name, f".{split}{SUFFIX}")

    def _long_name(self, stem: str, split: str) -> str:
        """Read the name of a set that is too long for a file's; that of the file where it is damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            body = body_of(read_bytes(self.folder / f"{stem}.{split}{SUFFIX}"))
            return str(json.loads(load(body or b"")["about"].tobytes())["name"])
        except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError):
            return unescaped(stem)
