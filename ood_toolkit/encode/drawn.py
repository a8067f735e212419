"""Pictures of embedded sets that the store knows already: they are drawn again only where somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, overload

import numpy as np

from ood_toolkit.api.dataset import DataSet, Pictures
from ood_toolkit.api.picture import Picture
from ood_toolkit.errors import StoreError
from ood_toolkit.store.listings import Listing, Listings
from ood_toolkit.store.versions import code_of, version_of

__all__ = ["KnownPictures", "drawing", "drawn_before"]

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, eq=False)
class KnownPictures(Pictures):
    """Pictures whose row keys are known without a look at them."""

    keys: np.ndarray = field(kw_only=True)
    """(n, 32) uint8."""


class _Undrawn(Sequence[Picture]):
    """The pictures of a split, all of them drawn when the first is asked for."""

    def __init__(self, count: int, draw: Callable[[], Sequence[Picture]]) -> None:
        self.length, self.draw, self.lock = count, draw, Lock()
        self.items: Sequence[Picture] | None = None

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Picture]: ...
    def __getitem__(self, place: int | slice) -> Picture | Sequence[Picture]:
        with self.lock:
            if self.items is None:
                self.items = self.draw()
        return self.items[place]


def drawing(dataset: DataSet) -> dict[str, Any] | None:
    """Name the versions of all that draws the pictures of a set; None where it is not embedded or does not tell."""
    if not dataset.embedded or not dataset.drawn_by:
        return None
    known: dict[str, Any] = {name: version_of(name) for name in ("ood-toolkit", *dataset.drawn_by)}
    return known | {"code": [code_of(PACKAGE / "data"), code_of(PACKAGE / "api" / "picture.py")]}


def drawn_before(
    dataset: DataSet, split: str, store: Path, name: str, draw: Callable[[], Pictures]
) -> KnownPictures | None:
    """Give the pictures of a split of an embedded set as the store listed them under a name.

    None where it lists none, or other versions drew them. `draw` is for who looks at them after all.
    """
    listing = _listing(dataset, split, store, name)
    if listing is None:
        return None
    items = _Undrawn(len(listing.ids), lambda: draw().items)
    return KnownPictures(items, listing.ids, listing.labels, listing.classes, listing.notes, keys=listing.keys)


def _listing(dataset: DataSet, split: str, store: Path, name: str) -> Listing | None:
    versions = drawing(dataset)
    if versions is None:
        return None
    try:
        listing = Listings(store).read(name, split)
    except StoreError:  # it is written anew
        return None
    return listing if listing is not None and listing.drawn == versions else None
