"""`DataSet`: what a data set is called, holds and is licensed under, and how its pictures are opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy import ndarray
    from PIL.Image import Image

__all__ = ["DataSet", "Pictures"]


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split, row-aligned with their ids and labels."""

    images: Sequence[Image]
    """n PIL images, of any mode and size."""
    ids: tuple[str, ...]
    """n distinct names, stable from run to run."""
    labels: ndarray | None = None
    """(n,) int64 indices into the set's `classes`, or None where the set has no classes."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class DataSet:
    """A named data set; everything but `open` is known without reading a picture."""

    name: str
    """Unique slug, as typed after `--id` and `--ood`."""
    description: str
    """One line for people."""
    open: Callable[[str], Pictures]
    """Gives the pictures of a split that `counts` names."""
    counts: Mapping[str, int]
    """Images in each split, in the order train, val, test."""
    classes: tuple[str, ...] = ()
    """Class names as they go into a prompt; empty for a set that can only be an OOD set."""
    templates: tuple[str, ...] = ("a photo of a {}",)
    """The set's own prompt templates."""
    licence: str = "unknown"
    source: str = "unknown"
    embedded: bool = False
    """Whether the set comes with this package, so that it is present offline."""
    notes: tuple[str, ...] = field(default=())
