"""`DataSet`: what a data set is called, holds and is licensed under, and how its pictures are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ood_toolkit.api.picture import Picture

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image

__all__ = ["DataSet", "Pictures"]

SIMPLE = ("a photo of a {}",)


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of one split, row-aligned with their ids and labels; none is decoded until it is looked at."""

    items: Sequence[Picture]
    """n pictures."""
    ids: tuple[str, ...]
    """n distinct names, stable from run to run and from machine to machine."""
    labels: ndarray | None = None
    """(n,) int64 indices into `classes`, -1 for none of them; None where the set has no classes."""
    classes: tuple[str, ...] = ()
    """Class names as they go into a prompt."""
    notes: tuple[str, ...] = ()
    """What a reader of the result should know of these pictures, such as how many of the published ones are here."""
    unlabelled: str = ""
    """Why there are no labels where some might be expected, for who takes the set as in-distribution."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def images(self) -> Sequence[Image]:
        """The n images, each decoded when it is asked for, at full size."""
        return _Decoded(self.items)


class _Decoded(Sequence["Image"]):
    def __init__(self, items: Sequence[Picture]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, place: int) -> Image: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Image]: ...
    def __getitem__(self, place: int | slice) -> Image | Sequence[Image]:
        if isinstance(place, slice):
            return _Decoded(self.items[place])
        item = self.items[place]
        return item.decode(item.read())

    def __iter__(self) -> Iterator[Image]:
        return (item.decode(item.read()) for item in self.items)


@dataclass(frozen=True)
class DataSet:
    """A named data set; everything but `open` is known without touching a picture or importing anything heavy."""

    name: str
    """Unique slug, as typed after `--id` and `--ood`."""
    description: str
    """One line for people."""
    open: Callable[[str, Path], Pictures]
    """Finds the pictures of a split that `counts` names, below the data root; `DataError` says what is missing there
    and how to get it."""
    counts: Mapping[str, int | None]
    """Published number of images in each split, in the order train, val, test; None where it is not known."""
    classes: tuple[str, ...] = ()
    """Class names as they go into a prompt, where they are known without opening the set."""
    class_count: int = 0
    """How many classes, where only opening the set tells their names; 0 for a set that can only be an OOD set."""
    templates: tuple[str, ...] = SIMPLE
    """The set's own prompt templates."""
    licence: str = "unknown"
    """Of the pictures."""
    source: str = "unknown"
    """Where the pictures come from: an address or a reference."""
    embedded: bool = False
    """Whether the set comes with this package, so that it is present offline."""
    drawn_by: tuple[str, ...] = ()
    """Distributions whose versions decide the pictures of an embedded set, beside this package. While these stay, what
    the store knows of the pictures holds; a set that names none is drawn in every run."""
    download: Callable[[Path], None] | None = None
    """Brings the pictures below the data root and checks their checksums; None where nobody may or can."""
    layout: tuple[str, ...] = ()
    """Where `open` looks, below the data root, and how to get it there: lines for people."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each fact is from, by name: counts, classes, templates, licence, source, checksum."""
    label_space: str = ""
    """Names a numbering of classes that classifiers share, such as `imagenet-1k`; "" for one of the set's own."""
    notes: tuple[str, ...] = ()
    """What else `oodkit datasets show` tells of the set, a sentence each."""
